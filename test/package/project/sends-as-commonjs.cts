// What a user writes in TypeScript, in a project of CommonJS.
import { createSender, type SendResult } from 'sms-retry'

async function main(): Promise<void> {
  const sender = await createSender()
  const { status }: SendResult = await sender.send({
    userId: 7,
    to: '+12065550199',
    body: 'Your order has shipped',
  })
  await sender.close()
  console.log(status)
}

void main()
