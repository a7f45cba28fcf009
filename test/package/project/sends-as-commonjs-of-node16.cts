// What a user writes in TypeScript, in a project of CommonJS with `module: node16`, which has no `require` of ESM.
import type { SendResult } from 'sms-retry' with { 'resolution-mode': 'import' }

async function main(): Promise<void> {
  const { createSender } = await import('sms-retry')
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
