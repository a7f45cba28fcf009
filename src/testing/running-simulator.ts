// The simulator for the tests of an app, with the options that a sender and a worker need for it.
import type { TwilioOptions } from '../processes/runtime.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../simulator/simulator.ts'

export interface RunningSimulator extends Omit<Simulator, 'close'> {
  /** The option `twilio` of `createSender`, `startWorker` and `statusCallbackRouter`. */
  readonly twilio: TwilioOptions
  /** Stops timers, callbacks and connections. Messages and callbacks can still be read afterwards. */
  stop(): Promise<void>
}

const FROM = '+12065550100'

export async function runSimulator(options: SimulatorOptions): Promise<RunningSimulator> {
  const { apiKeySid, apiKeySecret } = options
  // The seed determines the sids. With a fixed default, a second run would repeat sids that the database already has.
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32)
  const simulator = await startSimulator({ ...options, seed })
  const { url: apiBaseUrl, accountSid, authToken } = simulator
  const apiKey = apiKeySid === undefined || apiKeySecret === undefined ? {} : { apiKeySid, apiKeySecret }
  return Object.assign(simulator, {
    twilio: { accountSid, authToken, from: FROM, apiBaseUrl, ...apiKey },
    stop: () => simulator.close(),
  })
}
