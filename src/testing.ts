// The public API for the tests of an app, `sms-retry/testing`: a sender in memory, and the Twilio simulator. docs/testing.md
// says when to use which. Importing this module starts nothing, and loads neither database nor queue.
import type { SimulatorOptions } from './simulator/simulator.ts'
import type { RunningSimulator } from './testing/running-simulator.ts'

export type { FakeMessage } from './testing/fake-message.ts'
export { createFakeSender, type FakeSender, type FakeSenderOptions } from './testing/fake-sender.ts'
export type { FakeResult, Script } from './testing/scripts.ts'
export type { RunningSimulator } from './testing/running-simulator.ts'
export type { SimulatedCallback, SimulatedMessage, SimulatorOptions } from './simulator/simulator.ts'

/**
 * Starts the Twilio simulator in this process, on a free port of 127.0.0.1. It reads no environment variables.
 *
 * The recipient's number is the script: `+1555CCCCCNN` fails the first NN attempts with code CCCCC, then delivers. Messages
 * to other numbers are delivered. Callbacks go to the `publicBaseUrl` of the process that sends.
 *
 * @throws RangeError for an invalid option, and the error of the system if it cannot listen on the port
 * @example
 * const simulator = await startSimulator()
 * const sender = await createSender({ databaseUrl, publicBaseUrl, twilio: simulator.twilio })
 * await sender.send({ userId: 7, to: '+15553000301', body: 'Your order has shipped' })
 * await simulator.idle()
 * expect(simulator.messages()).toMatchObject([{ to: '+15553000301' }])
 * await simulator.stop()
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<RunningSimulator> {
  const { runSimulator } = await import('./testing/running-simulator.ts')
  return runSimulator(options)
}
