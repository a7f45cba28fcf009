// The real parts together, in this process: a database of its own, the Twilio simulator, web, worker and sender.
import type { RetryPolicyOverrides } from '../../src/delivery/policy-overrides.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import type { Logger } from '../../src/shared/log.ts'
import { openRuntime, type Runtime } from '../../src/processes/runtime.ts'
import { openSender, type Sender } from '../../src/processes/sender.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningWeb, startWeb } from '../../src/http/web.ts'
import { type RunningWorker, runWorker } from '../../src/processes/worker.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'

export interface LogLine {
  readonly level: keyof Logger
  readonly message: string
  readonly fields: Record<string, unknown>
}

export interface World {
  readonly database: TestDatabase
  readonly simulator: Simulator
  readonly sender: Sender
  readonly web: RunningWeb
  /** Null until startWorker is called. */
  readonly worker: () => RunningWorker | null
  /** The environment of its processes. */
  readonly env: Record<string, string>
  /** Every line that sender, web and worker logged, debug included. */
  readonly log: LogLine[]
  startWorker(): Promise<void>
  /** One more runtime on the same database, with the same log; the caller closes its database. */
  openRuntime(): Runtime
  stop(): Promise<void>
}

export interface WorldOptions {
  readonly simulator?: SimulatorOptions
  readonly env?: Record<string, string>
  readonly retryPolicy?: RetryPolicyOverrides
  /** The URL with which its processes come to the database, where that is not its owner's. */
  readonly databaseUrl?: (database: TestDatabase) => Promise<string>
}

/** Connections cost more than the other parts of a world, and most tests need few. */
const POOL_MAX = '2'

/** For a test of a race: the number of connections that a process has by default. */
export const DEFAULT_POOL = { DATABASE_POOL_MAX: '5' } as const

/** Delays are a thousandth of the real ones, without jitter, unless `env` and `retryPolicy` say otherwise. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const ends: (() => Promise<unknown>)[] = []
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end()
  }
  try {
    return await startParts(options, ends, stop)
  } catch (error) {
    // What has started by then would keep the test's process alive.
    await stop()
    throw error
  }
}

async function startParts(
  options: WorldOptions,
  ends: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<World> {
  const database = await createTestDatabase()
  ends.push(() => database.drop())
  const simulator = await startSimulator({ callbackDelayMs: 10, ...options.simulator })
  const port = await freePort()
  const databaseUrl = (await options.databaseUrl?.(database)) ?? database.url
  const env = {
    ...simulatedEnvironment(simulator, { databaseUrl, port, delayScale: 0.001 }),
    ...options.env,
  }
  const log: LogLine[] = []
  const logger = capturingLogger(log)
  const retryPolicy = options.retryPolicy ?? { jitter: 0 }
  const own = { DATABASE_POOL_MAX: POOL_MAX, ...env }
  const open = (): Runtime => openRuntime({ logger, retryPolicy }, own, ['DATABASE_URL'])
  const web = await startWeb(open()).catch(async (error: unknown) => {
    await simulator.close()
    throw error
  })
  ends.push(() => web.stop())
  // Before the web process: no callback may come to one that stops.
  ends.push(() => simulator.close())
  const sender = await openSender(open())
  ends.push(() => sender.close())
  let worker: RunningWorker | null = null
  ends.push(async () => worker?.stop())
  return {
    database,
    simulator,
    sender,
    web,
    worker: () => worker,
    env,
    log,
    async startWorker() {
      worker = await runWorker(open())
    },
    openRuntime: open,
    stop,
  }
}

export function capturingLogger(log: LogLine[]): Logger {
  const at =
    (level: keyof Logger) =>
    (message: string, fields: object = {}): void =>
      void log.push({ level, message, fields: fields as Record<string, unknown> })
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') }
}
