// The demo: web, worker, an embedded PostgreSQL and the Twilio simulator on 127.0.0.1, with short delays so that a person
// can watch retries. It removes everything when it ends.
import { setTimeout as sleep } from 'node:timers/promises'
import { print, printStatus } from '../shared/output.ts'
import { nextSignal } from '../processes/until-signal.ts'
import { countMessages, type Overview } from '../db/overview.ts'
import { freePort, startEmbeddedPostgres } from './embedded-postgres.ts'
import { migrate } from '../processes/migrate.ts'
import { openRuntime, type Runtime } from '../processes/runtime.ts'
import { openSender, type Sender } from '../processes/sender.ts'
import { retryOnDatabaseError } from '../recording/record-events.ts'
import { simulatedEnvironment } from '../simulator/environment.ts'
import { type Simulator, startSimulator } from '../simulator/simulator.ts'
import { startWeb } from '../http/web.ts'
import { runWorker } from '../processes/worker.ts'
import { type OutageFigures, runOutage } from './outage.ts'
import { closingTable, Progress } from './progress.ts'
import { realisticRecipients, workingRecipients } from './recipients.ts'

export interface DemoFlags {
  readonly messages: number
  readonly seed: number
  readonly exit?: true
  /** Suspends the account while messages are sent. */
  readonly outage?: true
}

/** Error 30003 is retried after 3 and 6 seconds instead of 5 and 10 minutes. */
const DELAY_SCALE = 0.01

/** The demo has failed if nothing changes for this long. */
const STALLED_AFTER_MS = 60_000
const POLL_MS = 250
/** Its end is noticed within this time. */
const OUTAGE_SEEN_WITHIN_MS = 10_000
const CONCURRENT_SENDS = 20

/** On a busy machine, a database call may time out. It is repeated; the idempotency key prevents a second message. */
const DATABASE_RETRY_DELAYS_MS = [1_000, 3_000, 10_000]

/** @returns true if every message is final and none was sent twice; with an outage, if all were delivered as well */
export async function demoCommand(flags: DemoFlags): Promise<boolean> {
  const interrupted = nextSignal().then(() => 'interrupted' as const)
  const world = await startWorld(flags.seed)
  try {
    printStatus(`Dashboard:         ${world.dashboardUrl}`)
    printStatus(`Simulated phones:  ${world.simulator.url}/inbox`)
    const running = run(world, flags)
    // After an interrupt, the rest of the run fails because the world is stopped below. That is expected.
    running.catch(() => undefined)
    const outcome = await Promise.race([running, interrupted])
    if (outcome === 'interrupted') return false
    if (!flags.exit) {
      printStatus('\nAll processes keep running. Press Ctrl-C to stop.')
      await interrupted
    }
    return outcome
  } finally {
    await world.stop()
  }
}

interface World {
  readonly runtime: Runtime
  readonly sender: Sender
  readonly simulator: Simulator
  readonly dashboardUrl: string
  /** Aborted when the world stops. */
  readonly stopping: AbortSignal
  stop(): Promise<void>
}

async function startWorld(seed: number): Promise<World> {
  const stops: (() => Promise<unknown>)[] = []
  const stopping = new AbortController()
  const stop = async (): Promise<void> => {
    stopping.abort()
    for (const end of stops.splice(0).reverse()) {
      // An error must not keep the other parts running.
      await end().catch((error: Error) => printStatus(`Error while stopping: ${error.message}`))
    }
  }
  try {
    printStatus('Starting PostgreSQL, the Twilio simulator, web and worker on 127.0.0.1 ...')
    const postgres = await startEmbeddedPostgres()
    stops.push(() => postgres.stop())
    await postgres.createDatabase('demo')
    const simulator = await startSimulator({ seed, callbackDelayMs: 300, chaos: CHAOS })
    stops.push(() => simulator.close())
    // A complete environment, so that no process uses this machine's settings for the real Twilio.
    // A machine that is busy with other work may take longer than the default to open a connection.
    const databaseUrl = `${postgres.url('demo')}?connect_timeout=30`
    const processes = { databaseUrl, port: await freePort(), delayScale: DELAY_SCALE }
    const env = { ...simulatedEnvironment(simulator, processes), DATABASE_SSL: 'disable', LOG_LEVEL: 'error' }
    const open = (): Runtime => openRuntime({}, env, ['DATABASE_URL'])
    const runtime = open()
    stops.push(() => runtime.database.close())
    await migrate(runtime.config.database, runtime.logger)
    const web = await startWeb(open(), { isOpen: true })
    stops.push(() => web.stop())
    const worker = await runWorker(open())
    stops.push(() => worker.stop())
    const sender = await openSender(open())
    stops.push(() => sender.close())
    return { runtime, sender, simulator, dashboardUrl: `${web.url}/`, stopping: stopping.signal, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Faults as in a real network: the share of callbacks or requests with each. */
const CHAOS = {
  duplicateCallbacks: 0.05,
  reorderCallbacks: 0.05,
  rateLimit: 0.03,
  dropCallbacks: 0.02,
  reset: 0.01,
}

async function run(world: World, { messages: messageCount, outage }: DemoFlags): Promise<boolean> {
  const hasOutage = outage === true
  const { runtime, sender, simulator, stopping } = world
  const progress = new Progress(messageCount)
  const sending = hasOutage
    ? sendThroughOutage(world, workingRecipients(messageCount), progress)
    : sendAll(world, realisticRecipients(messageCount)).then(() => null)
  // The race below rejects with the same failure.
  sending.catch(() => undefined)
  const count = (): Promise<Overview> =>
    retryOnDatabaseError(() => countMessages(runtime.database), DATABASE_RETRY_DELAYS_MS, {
      signal: stopping,
    })
  let overview = await count()
  let changedMs = performance.now()
  let isStalled = false
  while (!isDone(overview, messageCount) && !isStalled) {
    await Promise.race([sending.then(() => sleep(POLL_MS)), sleep(POLL_MS)])
    const next = await count()
    if (JSON.stringify(next) !== JSON.stringify(overview)) changedMs = performance.now()
    overview = next
    progress.show(overview)
    isStalled = performance.now() - changedMs > STALLED_AFTER_MS
  }
  // If every message is final, the hold has ended, or there was none.
  const outageFigures = await Promise.race([
    sending,
    sleep(isStalled ? 0 : OUTAGE_SEEN_WITHIN_MS, null, { ref: false }),
  ])
  progress.end()
  await sender.close()
  await simulator.idle()
  const sentTwice = simulator.doubleSubmissions().length
  print(closingTable(overview, sentTwice, outageFigures))
  const isWithoutLoss = isDone(overview, messageCount) && sentTwice === 0
  if (!isWithoutLoss)
    printStatus('Some messages are not final, or a message was sent twice. This is a bug. Please report it.')
  const isOutageSurvived = !hasOutage || (outageFigures !== null && overview.failed === 0)
  if (!isOutageSurvived)
    printStatus('The outage caused no hold, or messages were given up. This is a bug. Please report it.')
  return isWithoutLoss && isOutageSurvived
}

/** Starts the outage when a third of the messages was sent. */
async function sendThroughOutage(
  world: World,
  recipients: readonly string[],
  progress: Progress,
): Promise<OutageFigures | null> {
  const { runtime, simulator, stopping } = world
  let outage: Promise<OutageFigures> | null = null
  await sendAll(world, recipients, (i) => {
    if (i !== Math.floor(recipients.length / 3)) return
    outage = runOutage({
      database: runtime.database,
      simulator,
      stopping,
      databaseRetryDelaysMs: DATABASE_RETRY_DELAYS_MS,
      note: (text) => progress.note(text),
    })
    // Awaited below.
    outage.catch(() => undefined)
  })
  return outage
}

/** Sends half of the messages directly, and enqueues the other half in a transaction. */
async function sendAll(
  { runtime, sender, stopping }: World,
  recipients: readonly string[],
  beforeSend: (i: number) => void = () => undefined,
): Promise<void> {
  const next = recipients.entries()
  const sendSome = async (): Promise<void> => {
    for (const [i, to] of next) {
      if (stopping.aborted) return
      beforeSend(i)
      const message = {
        userId: 1 + (i % 10),
        to,
        body: `Your order ${1000 + i} has shipped.`,
        idempotencyKey: `order-${i}`,
      }
      await retryOnDatabaseError<unknown>(
        () =>
          i % 2 === 0
            ? sender.send(message)
            : runtime.database.transaction((db) => sender.enqueue(message, { db })),
        DATABASE_RETRY_DELAYS_MS,
        { signal: stopping },
      )
    }
  }
  await Promise.all(Array.from({ length: CONCURRENT_SENDS }, sendSome))
}

function isDone(overview: Overview, messageCount: number): boolean {
  return overview.messages === messageCount && overview.inFlight === 0
}
