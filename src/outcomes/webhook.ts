// Posts outcomes to the app, signed as Standard Webhooks 1.0 describes (https://www.standardwebhooks.com).
import type { Agent } from 'undici'
import type { OutcomesConfig } from '../config/config.ts'
import { withTraceHeaders } from '../shared/tracing.ts'
import { createConnector } from '../twilio/connect.ts'
import type { Outcome } from './outcome-event.ts'

export interface OutcomeWebhook {
  /** Resolves after an answer 2xx; rejects after any other answer, or without one within ten seconds. */
  post(outcome: Outcome): Promise<void>
  close(): Promise<void>
}

const TIMEOUT_MS = 10_000
/** Answers are not read. A longer one costs its connection. */
const MAX_ANSWER_BYTES = 65_536

/**
 * TLS certificates are checked against Node's own and NODE_EXTRA_CA_CERTS. A redirect is not followed: it counts as a
 * failure.
 */
export async function createOutcomeWebhook({
  url,
  secrets,
}: NonNullable<OutcomesConfig['webhook']>): Promise<OutcomeWebhook> {
  const [undici, { Webhook }] = await Promise.all([import('undici'), import('standardwebhooks')])
  const signers = secrets.map((secret) => new Webhook(secret))
  const connect = createConnector(undici, { certificates: null, timeoutMs: TIMEOUT_MS })
  const agent: Agent = new undici.Agent({ connect })
  return {
    async post(outcome) {
      const { id, type, at } = outcome
      const body = JSON.stringify({ type, timestamp: at, data: outcome })
      const sentAt = new Date()
      const headers = {
        'content-type': 'application/json',
        'user-agent': 'sms-retry',
        'webhook-id': id,
        'webhook-timestamp': `${Math.floor(sentAt.getTime() / 1000)}`,
        'webhook-signature': signers.map((signer) => signer.sign(id, sentAt, body)).join(' '),
      }
      const { statusCode, body: answer } = await withTraceHeaders((traceHeaders) =>
        undici.request(url, {
          dispatcher: agent,
          method: 'POST',
          headers: { ...traceHeaders, ...headers },
          body,
          signal: AbortSignal.timeout(TIMEOUT_MS),
        }),
      ).catch(throwNoAnswer)
      // The status decides, whatever becomes of the rest.
      await answer.dump({ limit: MAX_ANSWER_BYTES }).catch(() => undefined)
      if (statusCode < 200 || statusCode > 299) throw new Error(`answered ${statusCode}`)
    },
    close: () => agent.destroy(),
  }
}

function throwNoAnswer(error: Error & { code?: unknown }): never {
  if (error.name === 'TimeoutError') throw new Error(`no answer within ${TIMEOUT_MS / 1000} s`)
  // undici's messages can contain the URL.
  throw new Error(`no answer (${typeof error.code === 'string' ? error.code : error.name})`)
}
