// The request of one retry through Twilio's package, with the options and parameters of src/twilio, and without
// anything else: what the sender and the worker are measured against.
import twilio from 'twilio'
import { ACCOUNT } from './account.ts'

/** As many as the worker makes at once: the default of SEND_CONCURRENCY. */
export const REQUESTS_AT_ONCE = 100

/** @returns makes the request of one attempt, and resolves with what the package makes of the answer */
export function createBareRequest(
  twilioUrl: string,
  publicBaseUrl: string,
): (message: number, attempt: number) => Promise<unknown> {
  const httpClient = new twilio.RequestClient({
    timeout: 10_000,
    maxSockets: REQUESTS_AT_ONCE,
    maxFreeSockets: REQUESTS_AT_ONCE,
  })
  const client = twilio(ACCOUNT.TWILIO_ACCOUNT_SID, ACCOUNT.TWILIO_AUTH_TOKEN, { httpClient })
  client.api.baseUrl = twilioUrl
  const connection = '#ct=2000&rt=5000&rc=5&rp=5xx,ct,rt'
  return (message, attempt) =>
    client.messages.create({
      to: '+12065550199',
      body: 'Your order has shipped',
      from: ACCOUNT.TWILIO_FROM_NUMBER,
      statusCallback: `${publicBaseUrl}/twilio/status?message=${message}&attempt=${attempt}${connection}`,
      attempt: attempt + 1,
    })
}
