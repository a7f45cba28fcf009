// The demo: everything in one process on 127.0.0.1, with an embedded PostgreSQL and the Twilio simulator, the
// delays shortened so that a person sees retries happen. Leaves nothing behind.
import { setTimeout as sleep } from 'node:timers/promises'
import { print, printStatus } from '../shared/output.ts'
import { nextSignal } from '../processes/until-signal.ts'
import { countMessages, type Overview } from '../db/overview.ts'
import { freePort, startEmbeddedPostgres } from './embedded-postgres.ts'
import { migrate } from '../processes/migrate.ts'
import { openRuntime, type Runtime } from '../processes/runtime.ts'
import { openSender, type Sender } from '../processes/sender.ts'
import { simulatedEnvironment } from '../simulator/environment.ts'
import { type Simulator, startSimulator } from '../simulator/simulator.ts'
import { startWeb } from '../http/web.ts'
import { runWorker } from '../processes/worker.ts'
import { closingTable, Progress } from './progress.ts'
import { realisticRecipients } from './recipients.ts'

export interface DemoFlags {
  readonly messages: number
  readonly seed: number
  readonly exit?: true
}

/** A 30003, which waits 5 and 10 minutes in earnest, waits 3 and 6 seconds here. */
const DELAY_SCALE = 0.01

/** Without a step forward for so long, something is wrong. */
const STANDSTILL_MS = 60_000
const POLL_MS = 250
const SENDS_AT_ONCE = 20

/** @returns true if every message is final and none was submitted twice */
export async function demoCommand(flags: DemoFlags): Promise<boolean> {
  const interrupted = nextSignal().then(() => 'interrupted' as const)
  const world = await startWorld(flags.seed)
  try {
    printStatus(`Dashboard:         ${world.dashboardUrl}`)
    printStatus(`Simulated phones:  ${world.simulator.url}/inbox`)
    const running = run(world, flags.messages)
    // Once the world is stopped below, what is left of the run fails, and nobody needs to know.
    running.catch(() => undefined)
    const outcome = await Promise.race([running, interrupted])
    if (outcome === 'interrupted') return false
    if (!flags.exit) {
      printStatus('\nEverything goes on running, with empty hands. Ctrl-C ends it.')
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
  stop(): Promise<void>
}

async function startWorld(seed: number): Promise<World> {
  const stops: (() => Promise<unknown>)[] = []
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) {
      // What comes later is stopped all the same: nothing is to be left running.
      await end().catch((error: Error) => printStatus(`While stopping: ${error.message}`))
    }
  }
  try {
    printStatus('Starting PostgreSQL, the Twilio simulator, web and worker on 127.0.0.1 ...')
    const postgres = await startEmbeddedPostgres()
    stops.push(() => postgres.stop())
    await postgres.createDatabase('demo')
    const simulator = await startSimulator({ seed, callbackDelayMs: 300, chaos: CHAOS })
    stops.push(() => simulator.close())
    // The demo's own environment: whatever is set on this machine for the real Twilio is not touched.
    const processes = { databaseUrl: postgres.url('demo'), port: await freePort(), delayScale: DELAY_SCALE }
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
    return { runtime, sender, simulator, dashboardUrl: `${web.url}/`, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What a real network does now and then. */
const CHAOS = {
  duplicateCallbacks: 0.05,
  reorderCallbacks: 0.05,
  rateLimit: 0.03,
  dropCallbacks: 0.02,
  reset: 0.01,
}

async function run(world: World, messages: number): Promise<boolean> {
  const { runtime, sender, simulator } = world
  const progress = new Progress(messages)
  const sending = sendAll(world, messages)
  // Its failure is seen by the race below, perhaps a moment later.
  sending.catch(() => undefined)
  let overview = await countMessages(runtime.database)
  let movedMs = performance.now()
  while (!isDone(overview, messages)) {
    await Promise.race([sending.then(() => sleep(POLL_MS)), sleep(POLL_MS)])
    const next = await countMessages(runtime.database)
    if (JSON.stringify(next) !== JSON.stringify(overview)) movedMs = performance.now()
    overview = next
    progress.show(overview)
    if (performance.now() - movedMs > STANDSTILL_MS) break
  }
  progress.end()
  await sender.close()
  await simulator.idle()
  const twice = simulator.doubleSubmissions().length
  print(closingTable(overview, twice))
  const isGood = isDone(overview, messages) && twice === 0
  if (!isGood)
    printStatus(
      'Not every message reached a final state, or one was sent twice. This is a bug: please report it.',
    )
  return isGood
}

/** Half of the messages are sent at once, the other half is enqueued in a transaction, as an app might. */
async function sendAll({ runtime, sender }: World, messages: number): Promise<void> {
  const recipients = realisticRecipients(messages)
  const next = recipients.entries()
  const sendSome = async (): Promise<void> => {
    for (const [i, to] of next) {
      const message = {
        userId: 1 + (i % 10),
        to,
        body: `Your order ${1000 + i} has shipped.`,
        idempotencyKey: `order-${i}`,
      }
      if (i % 2 === 0) await sender.send(message)
      else await runtime.database.transaction((db) => sender.enqueue(message, { db }))
    }
  }
  await Promise.all(Array.from({ length: SENDS_AT_ONCE }, sendSome))
}

function isDone(overview: Overview, messages: number): boolean {
  return overview.messages === messages && overview.inFlight === 0
}
