// One process of a system is killed at a named point (kill-point.ts), and the others must recover everything. Only the
// killed process is a real one. The others share the test's process, with their own connections, because a start takes up
// to a second of processor time. The outcome is read from the database and from the simulator, which stands for Twilio and
// the recipients.
import pLimit from 'p-limit'
import pg from 'pg'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { type RunningWeb, startWeb } from '../../src/http/web.ts'
import { openRuntime, type Runtime, SENDING_REQUIREMENTS } from '../../src/processes/runtime.ts'
import { openSender, type Sender } from '../../src/processes/sender.ts'
import { type RunningWorker, runWorker } from '../../src/processes/worker.ts'
import { NO_CHAOS } from '../../src/simulator/chaos.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import { loadPackage } from '../../src/twilio/api.ts'
import type { Target } from '../http/endpoint.ts'
import { postSigned } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import type { KillPoint } from '../support/kill-point.ts'
import { type CliProcess, startCli, untilReady } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

// Of tests that run beside each other, Jest refuses an import that happens between the end of one and the start of another.
await loadPackage()

const KILL_POINT = new URL('../support/kill-point.ts', import.meta.url).href
/** A job that nobody completed is due again a minute or two later. */
const MAX_WAIT_MS = 240_000

export interface Outcome {
  readonly status: string
  readonly success: boolean
  readonly retries: number
  /** The error codes of the attempts that failed. */
  readonly codes: readonly number[]
}

export interface KillWorldOptions extends SimulatorOptions {
  /** The web process is a real one, and is killed here. */
  readonly killWebAt?: KillPoint
}

/** Worlds start one after the other: together, they exceed their time-outs on a small machine. */
const inTurn = pLimit(1)

export class KillWorld {
  readonly database: TestDatabase
  readonly simulator: Simulator
  readonly sender: Sender
  /** The app's own connection. */
  readonly #client: pg.Client
  readonly #env: ReturnType<typeof simulatedEnvironment>
  readonly #processes: CliProcess[] = []
  /** Stops the parts in this process, the last started first. */
  readonly #stops: (() => Promise<unknown>)[] = []

  private constructor(
    database: TestDatabase,
    simulator: Simulator,
    sender: Sender,
    client: pg.Client,
    env: ReturnType<typeof simulatedEnvironment>,
  ) {
    this.database = database
    this.simulator = simulator
    this.sender = sender
    this.#client = client
    this.#env = env
  }

  static async start(delayScale: number, { killWebAt, ...options }: KillWorldOptions): Promise<KillWorld> {
    const database = await createTestDatabase()
    const simulator = await startSimulator(options)
    const port = await freePort()
    const env = simulatedEnvironment(simulator, { databaseUrl: database.url, port, delayScale })
    const sender = await openSender(openRuntime({ logger: silentLogger }, env, ['sender']))
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    const world = new KillWorld(database, simulator, sender, client, env)
    try {
      if (killWebAt === undefined) await world.startWeb()
      else await world.#launchWeb(killWebAt)
    } catch (error) {
      await world.close()
      throw error
    }
    return world
  }

  /** The web process that is killed. */
  get web(): CliProcess {
    const [web] = this.#processes
    if (web === undefined) throw new Error('The web process is not a real one')
    return web
  }

  async #launchWeb(point: KillPoint): Promise<void> {
    this.#launch(['web'], point)
    await untilReady(this.#env.PUBLIC_BASE_URL)
  }

  launchWorker(point: KillPoint): CliProcess {
    return this.#launch(['worker'], point)
  }

  /** A process that sends one message itself. */
  launchSend(to: string, point: KillPoint): CliProcess {
    return this.#launch(['send', '--user', '1', '--to', to, '--body', 'Hello'], point)
  }

  #launch(args: readonly string[], point: KillPoint): CliProcess {
    const killSwitch = { NODE_OPTIONS: `--import=${KILL_POINT}`, KILL_AT: point }
    const process = startCli(args, { ...this.#env, ...killSwitch })
    this.#processes.push(process)
    return process
  }

  async startWeb(): Promise<RunningWeb> {
    const web = await startWeb(this.#openRuntime())
    this.#stops.unshift(() => web.stop())
    await untilReady(this.#env.PUBLIC_BASE_URL)
    return web
  }

  /** Starts a worker, or a replacement for a killed one. The caller may stop it before the world ends. */
  async startWorker(): Promise<RunningWorker> {
    const worker = await runWorker(this.#openRuntime())
    let stopping: Promise<void> | undefined
    const stop = (): Promise<void> => (stopping ??= worker.stop())
    this.#stops.unshift(stop)
    return { stop }
  }

  #openRuntime(): Runtime {
    return openRuntime({ logger: silentLogger }, this.#env, SENDING_REQUIREMENTS)
  }

  /** The web process, for a test that plays Twilio itself. */
  get target(): Target {
    const { PORT, PUBLIC_BASE_URL } = this.#env
    return { port: Number(PORT), publicBaseUrl: PUBLIC_BASE_URL, authToken: this.simulator.authToken }
  }

  /** All of them in one transaction, so that they are due together. */
  async enqueue(recipients: readonly string[]): Promise<void> {
    await this.#client.query('begin')
    for (const [i, to] of recipients.entries()) {
      await this.sender.enqueue({ userId: 1, to, body: `Text number ${i}` }, { db: this.#client })
    }
    await this.#client.query('commit')
  }

  /**
   * @returns the database's time just after the kill
   * @throws if the process ended in another way, or elsewhere
   */
  async untilKilled({ child, ended, stderr }: CliProcess, point: KillPoint): Promise<Date> {
    const hasEnded = (): boolean => child.signalCode !== null || child.exitCode !== null
    await waitFor(`the process to be killed at: ${point}`, hasEnded, MAX_WAIT_MS)
    const [row] = await this.database.query<{ now: Date }>('select clock_timestamp() as "now"')
    await ended
    const wasKilled = child.signalCode === 'SIGKILL' && stderr().includes(`killed at: ${point}\n`)
    if (!wasKilled || row === undefined) throw new Error(`It was not killed at: ${point}\n${stderr()}`)
    return row.now
  }

  /** No further faults; requests that Twilio received before keep theirs. */
  endFaults(): void {
    this.simulator.setChaos(NO_CHAOS)
  }

  async statuses(): Promise<string[]> {
    const rows = await this.database.query<{ final_status: string }>(
      'select final_status from sms_usage_logs order by id',
    )
    return rows.map(({ final_status }) => final_status)
  }

  jobsIn(states: readonly string[]): Promise<{ id: string }[]> {
    return this.database.query(
      `select id from sms_retry_pgboss.job where name = 'attempt' and state = any($1)`,
      [states],
    )
  }

  /** Every message is final, no job waits, and the simulator has sent all its callbacks. */
  async untilOver(): Promise<void> {
    const isFinal = (status: string): boolean => status === 'delivered' || status === 'failed'
    await waitFor('every row to be final', async () => (await this.statuses()).every(isFinal), MAX_WAIT_MS)
    // A job that no worker completed runs again a minute or two later.
    const isWaiting = ['created', 'retry', 'active']
    await waitFor('no job to wait', async () => (await this.jobsIn(isWaiting)).length === 0, MAX_WAIT_MS)
    await this.simulator.idle()
  }

  async outcomes(): Promise<Outcome[]> {
    return this.database.query<Outcome & Record<string, unknown>>(
      `select final_status as "status", success, retry_count as "retries",
              jsonb_path_query_array(sms_metadata, '$.attempts[*].error_code') as "codes"
         from sms_usage_logs order by id`,
    )
  }

  /** Seconds from `then` until the row of each message shows progress. */
  async secondsUntilContinued(then: Date): Promise<number[]> {
    const rows = await this.database.query<{ seconds: number | null }>(
      `select (select extract(epoch from min(time.value::timestamptz) - $1::timestamptz)::float8
                 from jsonb_array_elements(sms_metadata -> 'attempts') as attempt,
                      jsonb_each_text(attempt -> 'times') as time
                where time.value::timestamptz > $1::timestamptz) as "seconds"
         from sms_usage_logs order by id`,
      [then],
    )
    // Null: nothing was left to do.
    return rows.map(({ seconds }) => seconds ?? 0)
  }

  /** As Twilio does if the first answer is lost. */
  async repeatCallbacks(): Promise<number[]> {
    const answers = this.simulator
      .callbacks()
      .map(({ url, fields }) => postSigned(this.simulator.authToken, url.split('#')[0] ?? '', fields))
    return (await Promise.all(answers)).map(({ status }) => status)
  }

  async close(): Promise<void> {
    for (const process of this.#processes) process.kill('SIGKILL')
    await Promise.all(this.#processes.map(({ ended }) => ended))
    await this.sender.close()
    await this.#client.end()
    // Before the web process: no callback may come to one that stops.
    await this.simulator.close()
    for (const stop of this.#stops) await stop()
    await this.database.drop()
  }
}

/** Closes the world in any case: concurrent tests have no afterEach of their own. */
export async function withKillWorld(
  delayScale: number,
  options: KillWorldOptions,
  work: (world: KillWorld) => Promise<void>,
): Promise<void> {
  const world = await inTurn(() => KillWorld.start(delayScale, options))
  try {
    await work(world)
  } finally {
    await world.close()
  }
}
