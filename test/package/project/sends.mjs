// What a user writes in JavaScript, as a module.
import { createSender } from 'sms-retry'

const sender = await createSender()
const { status } = await sender.send({ userId: 7, to: '+12065550199', body: 'Your order has shipped' })
await sender.close()
console.log(status)
