// What a user writes in JavaScript, in a project of CommonJS.
const { createSender } = require('sms-retry')

async function main() {
  const sender = await createSender()
  const { status } = await sender.send({ userId: 7, to: '+12065550199', body: 'Your order has shipped' })
  await sender.close()
  console.log(status)
}

main()
