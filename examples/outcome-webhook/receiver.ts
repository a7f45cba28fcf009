// Receives the outcomes of messages from an sms-retry worker, and checks their signature. Acts once for each outcome.
//
//   OUTCOME_WEBHOOK_SECRET=whsec_… PORT=4000 node examples/outcome-webhook/receiver.ts
//
// The worker needs OUTCOME_EVENTS=true, OUTCOME_WEBHOOK_URL=http://127.0.0.1:4000/sms-outcomes and the same secret.
import express from 'express'
import type { Outcome } from 'sms-retry'
import { Webhook, WebhookVerificationError } from 'standardwebhooks'

const webhook = new Webhook(process.env['OUTCOME_WEBHOOK_SECRET'] ?? '')
// In your app, a table with the id as its primary key, written in the transaction of your own changes.
const seen = new Set<string>()

const app = express()
// The signature covers the bytes of the body, so no parser may change them.
app.post('/sms-outcomes', express.raw({ type: 'application/json' }), (request, response) => {
  try {
    const headers = request.headers as Record<string, string>
    const { data } = webhook.verify(request.body as Buffer, headers) as { data: Outcome }
    if (!seen.has(data.id)) act(data)
    seen.add(data.id)
    response.status(204).end()
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error
    response.status(400).send(error.message)
  }
})

function act({ type, messageId, errorCode, metadata }: Outcome): void {
  console.log(JSON.stringify({ type, messageId, errorCode, metadata }))
}

app.listen(Number(process.env['PORT'] ?? 4000), '127.0.0.1')
