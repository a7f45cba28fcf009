// Owns the simulator as a whole: starts Twilio's API, the inspection and the pages on one port, and stops them.
// Speaks Twilio over HTTP so that an app can be run and tested without an account; the first page says what it
// does not simulate. The CLI's flags are left to the CLI.
import { createServer, type Server } from 'node:http'
import express from 'express'
import { AttemptCounter } from './attempt-number.ts'
import { CallbackQueue, type SimulatedCallback } from './callback-queue.ts'
import { type Chaos, type ChaosChange, changeChaos } from './chaos.ts'
import { createInspection } from './inspection.ts'
import { type DoubleSubmission, MessageStore, type SimulatedMessage } from './message-store.ts'
import { OpenRequests } from './open-requests.ts'
import { PendingWork } from './pending-work.ts'
import { createRandom } from './seeded-random.ts'
import { checkAuthToken, readOptions, type SimulatorOptions } from './simulator-options.ts'
import type { SubmissionAnswer } from './submission-answer.ts'
import { createTwilioApi } from './twilio-api.ts'

export type { SimulatedCallback } from './callback-queue.ts'
export type { Chaos, ChaosChange } from './chaos.ts'
export type { DoubleSubmission, SimulatedMessage } from './message-store.ts'
export { SIMULATOR_ACCOUNT_SID, SIMULATOR_AUTH_TOKEN, type SimulatorOptions } from './simulator-options.ts'
export type { SubmissionAnswer } from './submission-answer.ts'

export interface Simulator {
  /** Without a slash at the end; what TWILIO_API_BASE_URL is set to. */
  url: string
  port: number
  accountSid: string
  /** The one in force. */
  readonly authToken: string
  seed: number
  /** Every well-formed POST, also those that were refused or hung, oldest first. */
  messages(): SimulatedMessage[]
  /** Every callback that was sent, oldest first. */
  callbacks(): SimulatedCallback[]
  /** How many well-formed POSTs got which answer since the start. */
  submissionCounts(): Record<SubmissionAnswer, number>
  /** Attempts that were accepted more than once, among the messages still kept. */
  doubleSubmissions(): DoubleSubmission[]
  /** The shares in force. */
  chaos(): Readonly<Chaos>
  /** For requests from now on; what is under way keeps its fate. Shares that are not named stay. */
  setChaos(change: ChaosChange): void
  /**
   * As if the account's token had been changed: requests need it from now on, and callbacks are signed with it,
   * also those of earlier messages. An API key stays good. Throws a RangeError if it is empty.
   *
   * @param secondary requests may have this one as well, as long as it is named; it signs nothing
   */
  setAuthToken(token: string, secondary?: string): void
  /** Requests of Twilio's API that were received and are neither answered nor cut yet. */
  openRequests(): number
  /** Resolves when every message has its final status and every callback was answered or given up. */
  idle(): Promise<void>
  /** Ends timers, callbacks and connections; leaves nothing running. What was seen can still be read. */
  close(): Promise<void>
}

/** Throws a RangeError for an option that makes no sense, and the system's error if the port cannot be had. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const settings = readOptions(options)
  const work = new PendingWork()
  const messages = new MessageStore(settings.maxKept)
  const openRequests = new OpenRequests()
  let { authToken, chaos } = settings
  let secondaryToken: string | undefined
  const currentAuthToken = () => authToken
  const currentChaos = () => chaos
  const callbacks = new CallbackQueue({ ...settings, authToken: currentAuthToken, work })

  const app = express()
  app.disable('x-powered-by')
  app.use(
    createTwilioApi({
      settings,
      authToken: currentAuthToken,
      secondaryToken: () => secondaryToken,
      chaos: currentChaos,
      random: {
        chaos: createRandom(settings.seed),
        identifiers: createRandom(~settings.seed),
        lookups: createRandom(settings.seed ^ 0x5555_5555),
      },
      messages,
      attempts: new AttemptCounter(settings.maxKept),
      callbacks,
      work,
      openRequests,
    }),
  )
  app.use(
    createInspection({
      settings,
      authToken: currentAuthToken,
      chaos: currentChaos,
      messages,
      callbacks,
    }),
  )

  const { keepAliveMs } = settings
  const keepAlive = keepAliveMs === null ? {} : { keepAliveTimeout: keepAliveMs, keepAliveTimeoutBuffer: 0 }
  const server = createServer(keepAlive, app)
  const port = await listen(server, settings.port, settings.host)
  let closed: Promise<void> | undefined

  return {
    url: `http://${hostInUrl(settings.host)}:${port}`,
    port,
    accountSid: settings.accountSid,
    get authToken() {
      return authToken
    },
    seed: settings.seed,
    messages: () => messages.all(),
    callbacks: () => callbacks.all(),
    submissionCounts: () => messages.counts(),
    doubleSubmissions: () => messages.doubleSubmissions(),
    chaos: currentChaos,
    setChaos: (change) => {
      chaos = changeChaos(chaos, change)
    },
    setAuthToken: (token, secondary) => {
      authToken = checkAuthToken(token)
      secondaryToken = secondary === undefined ? undefined : checkAuthToken(secondary)
    },
    openRequests: () => openRequests.count,
    idle: () => work.idle(),
    close: () => {
      closed ??= (async () => {
        work.stop()
        await Promise.all([closeServer(server), callbacks.close()])
      })()
      return closed
    },
  }
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

/** Addresses that mean "every interface" can be listened on but not asked. */
function hostInUrl(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
