// The simulator: serves Twilio's API and pages for inspection on one port, so that an app can be run and tested without a
// Twilio account. Its first page lists what it does not simulate.
import { createServer, type Server } from 'node:http'
import express, { type Express } from 'express'
import { type AccountStatus, checkAccountStatus } from './account-resource.ts'
import { AttemptCounter } from './attempt-number.ts'
import { CallbackQueue, type SimulatedCallback } from './callback-queue.ts'
import { type Chaos, type ChaosChange, changeChaos } from './chaos.ts'
import { createInspection } from './inspection.ts'
import { type DoubleSubmission, MessageStore, type SimulatedMessage } from './message-store.ts'
import { OpenRequests } from './open-requests.ts'
import { PendingWork } from './pending-work.ts'
import { createRandom } from './seeded-random.ts'
import {
  checkAuthToken,
  readOptions,
  type SimulatorOptions,
  type SimulatorSettings,
} from './simulator-options.ts'
import type { SubmissionAnswer } from './submission-answer.ts'
import { createTwilioApi } from './twilio-api.ts'

export type { AccountStatus } from './account-resource.ts'
export type { SimulatedCallback } from './callback-queue.ts'
export type { Chaos, ChaosChange } from './chaos.ts'
export type { DoubleSubmission, SimulatedMessage } from './message-store.ts'
export { SIMULATOR_ACCOUNT_SID, SIMULATOR_AUTH_TOKEN, type SimulatorOptions } from './simulator-options.ts'
export type { SubmissionAnswer } from './submission-answer.ts'

export interface Simulator {
  /** The value for TWILIO_API_BASE_URL, without a slash at the end. */
  url: string
  port: number
  accountSid: string
  /** The current token. */
  readonly authToken: string
  seed: number
  /** Every valid POST, including refused and hanging ones, oldest first. */
  messages(): SimulatedMessage[]
  /** Every callback that was sent, oldest first. */
  callbacks(): SimulatedCallback[]
  /** The number of valid POSTs by answer, since the start. */
  submissionCounts(): Record<SubmissionAnswer, number>
  /** Attempts accepted more than once, among the messages still kept. */
  doubleSubmissions(): DoubleSubmission[]
  /** The current shares. */
  chaos(): Readonly<Chaos>
  /** Applies to new requests. Shares that are not named stay. */
  setChaos(change: ChaosChange): void
  /**
   * Changes the account's token: requests need it from now on, and it signs all further callbacks, including those of
   * earlier messages. An API key stays valid.
   *
   * @param secondary also accepted in requests, until the next call; never used for signatures
   * @throws RangeError if a token is empty
   */
  setAuthToken(token: string, secondary?: string): void
  /** The current status. */
  readonly accountStatus: AccountStatus
  /**
   * While the account is suspended, POSTs of messages are refused with 10001, and messages that are queued fail with 30002.
   * A closed account refuses with 20003. Other requests are answered as before.
   */
  setAccountStatus(status: AccountStatus): void
  /** The number of requests to Twilio's API that are neither answered nor closed yet. */
  openRequests(): number
  /** Resolves when every message has its final status, and every callback was answered or has failed. */
  idle(): Promise<void>
  /** Stops timers, callbacks and connections. Messages and callbacks can still be read afterwards. */
  close(): Promise<void>
}

/** The settings that can be changed while the simulator runs. */
interface CurrentSettings {
  authToken: string
  secondaryToken: string | undefined
  chaos: Readonly<Chaos>
  accountStatus: AccountStatus
}

interface Parts {
  readonly messages: MessageStore
  readonly callbacks: CallbackQueue
  readonly work: PendingWork
  readonly openRequests: OpenRequests
}

/** @throws RangeError for an invalid option, and the error of the system if it cannot listen on the port */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const settings = readOptions(options)
  const { host, keepAliveMs, accountSid, seed } = settings
  const current: CurrentSettings = {
    authToken: settings.authToken,
    secondaryToken: undefined,
    chaos: settings.chaos,
    accountStatus: settings.accountStatus,
  }
  const work = new PendingWork()
  const callbacks = new CallbackQueue({ ...settings, authToken: () => current.authToken, work })
  const messages = new MessageStore(settings.maxKept)
  const openRequests = new OpenRequests()
  const app = createSimulatorApp(settings, current, { messages, callbacks, work, openRequests })

  const keepAlive = keepAliveMs === null ? {} : { keepAliveTimeout: keepAliveMs, keepAliveTimeoutBuffer: 0 }
  const server = createServer(keepAlive, app)
  const port = await listen(server, settings.port, host)
  let closed: Promise<unknown> | undefined

  return {
    url: `http://${hostInUrl(host)}:${port}`,
    port,
    accountSid,
    seed,
    get authToken() {
      return current.authToken
    },
    messages: () => messages.all(),
    callbacks: () => callbacks.all(),
    submissionCounts: () => messages.counts(),
    doubleSubmissions: () => messages.doubleSubmissions(),
    chaos: () => current.chaos,
    setChaos(change) {
      current.chaos = changeChaos(current.chaos, change)
    },
    setAuthToken(token, secondary) {
      current.authToken = checkAuthToken(token)
      current.secondaryToken = secondary === undefined ? undefined : checkAuthToken(secondary)
    },
    get accountStatus() {
      return current.accountStatus
    },
    setAccountStatus(status) {
      current.accountStatus = checkAccountStatus(status)
    },
    openRequests: () => openRequests.count,
    idle: () => work.idle(),
    async close() {
      work.stop()
      closed ??= Promise.all([closeServer(server), callbacks.close()])
      await closed
    },
  }
}

function createSimulatorApp(
  settings: Readonly<SimulatorSettings>,
  current: CurrentSettings,
  { messages, callbacks, work, openRequests }: Parts,
): Express {
  const authToken = () => current.authToken
  const chaos = () => current.chaos
  const accountStatus = () => current.accountStatus
  const setAccountStatus = (status: AccountStatus) => {
    current.accountStatus = status
  }
  const app = express()
  app.disable('x-powered-by')
  app.use(
    createTwilioApi({
      settings,
      authToken,
      secondaryToken: () => current.secondaryToken,
      chaos,
      accountStatus,
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
    createInspection({ settings, authToken, chaos, accountStatus, setAccountStatus, messages, callbacks }),
  )
  return app
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

/** Clients on some systems cannot connect to the address that means "all interfaces". */
function hostInUrl(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
