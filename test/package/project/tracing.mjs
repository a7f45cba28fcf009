// Sends one message. Prints how sms-retry looked for OpenTelemetry's API after its import, and after the send.
import { registerHooks } from 'node:module'

const lookups = []
registerHooks({
  resolve(specifier, context, nextResolve) {
    const isOurs = context.parentURL?.includes('/node_modules/sms-retry/dist/')
    if (!isOurs || !specifier.startsWith('@opentelemetry/')) return nextResolve(specifier, context)
    try {
      const resolved = nextResolve(specifier, context)
      lookups.push('found')
      return resolved
    } catch (error) {
      lookups.push(error.code)
      throw error
    }
  },
})
const { createSender } = await import('sms-retry')
const afterImport = [...lookups]
const sender = await createSender()
const { status } = await sender.send({ userId: 7, to: '+12065550199', body: 'Your order has shipped' })
await sender.close()
console.log(JSON.stringify({ afterImport, afterSend: lookups, status }))
