// Starts a simulator, a receiver and the real twilio package for a test, and stops them after it.
import { afterEach } from '@jest/globals'
import twilio from 'twilio'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import { type Receiver, startReceiver } from './start-receiver.ts'

export type Client = ReturnType<typeof twilio>

export const FROM = '+15005550006'
export const TO = '+14155550100'

const running: { close(): Promise<void> }[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.close()))
})

/** The status of a message changes every millisecond unless `options` say otherwise, so that tests are fast. */
export async function simulate(
  options: SimulatorOptions = {},
): Promise<{ simulator: Simulator; client: Client }> {
  const simulator = await startSimulator({ callbackDelayMs: 1, ...options })
  running.push(simulator)
  return { simulator, client: clientOf(simulator) }
}

export async function receive(...answer: Parameters<typeof startReceiver>): Promise<Receiver> {
  const receiver = await startReceiver(...answer)
  running.push(receiver)
  return receiver
}

export function clientOf(
  { url, accountSid, authToken }: Simulator,
  options: ConstructorParameters<typeof twilio.RequestClient>[0] = {},
): Client {
  const client = twilio(accountSid, authToken, options)
  client.api.baseUrl = url
  return client
}

/** Posts any fields and headers without the twilio package. */
export async function postForm(
  simulator: Simulator,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
) {
  const response = await fetch(`${simulator.url}/2010-04-01/Accounts/${simulator.accountSid}/Messages.json`, {
    method: 'POST',
    headers: { Authorization: basicAuth(simulator.accountSid, simulator.authToken), ...headers },
    body: new URLSearchParams(fields),
  })
  // Tests read these fields by name, and compare other bodies as a whole.
  const body = (await response.json()) as { sid: string; code: number }
  return { status: response.status, headers: response.headers, body }
}

export function basicAuth(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** Resolves with the reason of a rejection. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('the promise was expected to be rejected')
}
