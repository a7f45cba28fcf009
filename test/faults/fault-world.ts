// The whole system for one run: a database with a virtual clock behind a proxy, the simulator, real processes of the
// built command whose own clocks are wrong, and a sender. Each fault is a method.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import type { MessageInput } from '../../src/messages/message-input.ts'
import { openRuntime, type Runtime } from '../../src/processes/runtime.ts'
import { openSender, type Sender } from '../../src/processes/sender.ts'
import { NO_CHAOS } from '../../src/simulator/chaos.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { startDatabaseProxy, type DatabaseProxy } from '../http/database-proxy.ts'
import { postSigned } from '../support/callbacks.ts'
import type { TestDatabase } from '../support/database.ts'
import { type CliProcess, startCli, untilReady } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { allowChanges, deleteFinal, installAppTriggers, type Refusal, refuseChanges } from './app-sql.ts'
import { type Hold, holdCounterUnderCallbacks } from './counter.ts'
import { LiveClaims } from './live-claims.ts'
import { FINAL, ROW_COLUMNS, type Row } from './row.ts'
import { ALLOWLIST, PROCESSES, type ProcessName } from './scenario.ts'
import { installVirtualClock, type VirtualClock } from './virtual-clock.ts'

const SHIFTED_CLOCK = new URL('../support/shifted-clock.ts', import.meta.url).href
const TEN_MINUTES_MS = 600_000
const CLOCK_SHIFTS: Record<ProcessName, number> = {
  web: TEN_MINUTES_MS,
  'worker 1': -TEN_MINUTES_MS,
  'worker 2': TEN_MINUTES_MS,
}

/** A request that hangs is cut after this: a time-out, without its ten seconds. */
const HANG_MS = 1_500

/** Longer than a claim is valid. */
const SUSPENDED_MS = 5_500

const WORKERS = ['worker 1', 'worker 2'] as const

/** What the app sends, without its user. */
export type AppMessage = Omit<MessageInput, 'userId'>

export class FaultWorld {
  readonly database: TestDatabase
  readonly simulator: Simulator
  readonly clock: VirtualClock
  /** Twilio shows in its list what it refused. */
  readonly listsRefused: boolean
  /** An older version is at work as well, until the faults end. */
  readonly isDeploy: boolean
  readonly #proxy: DatabaseProxy
  readonly #env: Record<string, string>
  readonly #runtime: Runtime
  readonly #sender: Sender
  readonly #processes = new Map<ProcessName, CliProcess>()
  /** Every process so far, also those that were killed. */
  readonly #launched: (readonly [ProcessName, CliProcess])[] = []
  readonly #tokens: string[]
  /** The command of an older version while a deploy is under way: some processes run it. */
  #olderCli: string | null
  /** Claims under way, and when they were first seen, by this process's clock. */
  readonly #claims = new LiveClaims()

  private constructor(
    database: TestDatabase,
    simulator: Simulator,
    clock: VirtualClock,
    proxy: DatabaseProxy,
    env: Record<string, string>,
    runtime: Runtime,
    sender: Sender,
    olderCli: string | null,
    listsRefused: boolean,
  ) {
    this.database = database
    this.simulator = simulator
    this.clock = clock
    this.listsRefused = listsRefused
    this.#proxy = proxy
    this.#env = env
    this.#runtime = runtime
    this.#sender = sender
    this.#tokens = [simulator.authToken]
    this.#olderCli = olderCli
    this.isDeploy = olderCli !== null
  }

  /** @param olderCli null if all processes are to run this version */
  static async start(database: TestDatabase, seed: number, olderCli: string | null): Promise<FaultWorld> {
    const clock = await installVirtualClock(database)
    await installAppTriggers(database)
    const listsRefused = seed % 2 === 0
    const simulator = await startSimulator({
      seed,
      callbackDelayMs: 20,
      chaosDelayMs: 500,
      hangMs: HANG_MS,
      slowMs: 800,
      now: clock.now,
      listRefused: listsRefused,
      retryAfterSeconds: seed % 3 === 0 ? null : 1,
      // Closed just when the next request is about to use it.
      keepAliveMs: seed % 4 === 1 && olderCli === null ? 5 : undefined,
    })
    const proxy = await startDatabaseProxy(database.url, await freePort())
    const port = await freePort()
    const env = {
      ...simulatedEnvironment(simulator, { databaseUrl: proxy.url, port, delayScale: 1 }),
      // Older versions send to everybody, and record no outcomes.
      ...(olderCli === null ? { RECIPIENT_ALLOWLIST: ALLOWLIST, OUTCOME_EVENTS: 'true' } : {}),
    }
    const runtime = openRuntime({ logger: silentLogger }, env, ['DATABASE_URL', 'sender'])
    const world = new FaultWorld(
      database,
      simulator,
      clock,
      proxy,
      env,
      runtime,
      await openSender(openRuntime({ logger: silentLogger }, env, ['DATABASE_URL', 'sender'])),
      olderCli,
      listsRefused,
    )
    for (const name of PROCESSES) world.#launch(name)
    await untilReady(env.PUBLIC_BASE_URL)
    return world
  }

  send(message: AppMessage): Promise<{ id: number }> {
    return this.#sender.send({ userId: 1, ...message })
  }

  async enqueue(message: AppMessage): Promise<{ id: number }> {
    return this.#runtime.database.confirmedTransaction(
      (db) => this.#sender.enqueue({ userId: 1, ...message }, { db }),
      {
        name: randomUUID(),
        isWritten: async (db, { id }) =>
          (await db.executeSql('select 1 from sms_usage_logs where id = $1::bigint', [id])).rows.length > 0,
      },
    )
  }

  /** The app changes its mind before it commits. */
  async rollBack(message: { to: string; body: string }): Promise<void> {
    const changedItsMind = new Error('rolled back')
    await this.#runtime.database
      .transaction(async (db) => {
        await this.#sender.enqueue({ userId: 1, ...message }, { db })
        throw changedItsMind
      })
      .catch((error: unknown) => {
        if (error !== changedItsMind) throw error
      })
  }

  #launch(name: ProcessName): void {
    const env = {
      ...this.#env,
      TWILIO_AUTH_TOKEN: this.#tokens.join(','),
      NODE_OPTIONS: `--import=${SHIFTED_CLOCK}`,
      CLOCK_SHIFT_MS: `${CLOCK_SHIFTS[name]}`,
    }
    const args = [name === 'web' ? 'web' : 'worker']
    const process = startCli(args, env, (this.#isOldersTurn(name) && this.#olderCli) || undefined)
    this.#processes.set(name, process)
    this.#launched.push([name, process])
  }

  /** One of the two workers is older, and every second web process, the first one included. */
  #isOldersTurn(name: ProcessName): boolean {
    const before = this.#launched.filter(([launched]) => launched === name).length
    return name === 'worker 2' || (name === 'web' && before % 2 === 0)
  }

  /** @returns true unless a process that had started was told to stop, and did not do so in good order */
  async restart(name: ProcessName, signal: 'SIGKILL' | 'SIGTERM'): Promise<boolean> {
    const process = this.#processes.get(name)
    const hadStarted = /Worker waits|Web process listens/.test(process?.stderr() ?? '')
    process?.kill(signal)
    const code = await process?.ended
    this.#launch(name)
    return signal === 'SIGKILL' || !hadStarted || code === 0
  }

  /** A process that sleeps, while the others and the time go on. */
  async suspend(name: ProcessName): Promise<void> {
    const process = this.#processes.get(name)
    process?.kill('SIGSTOP')
    await this.advance(60)
    await sleep(SUSPENDED_MS)
    process?.kill('SIGCONT')
  }

  async terminateConnections(): Promise<void> {
    await this.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'sms-retry' and datname = current_database()`,
    )
  }

  async loseDatabase(how: 'away' | 'silent', forMs: number): Promise<void> {
    await this.#proxy.set(how)
    await sleep(forMs)
    // What hung is cut: the answers to whatever was committed are lost.
    if (how === 'silent') await this.#proxy.set('away')
    await this.#proxy.set('there')
  }

  async disturbJobs(what: 'delete' | 'double' | 'later' | 'again', random: () => number): Promise<void> {
    // Most of them; which ones, the seed says.
    const isDrawn = `abs(hashtext(data::text)) % 10 >= ${Math.floor(random() * 5)}`
    const job = 'sms_retry_pgboss.job'
    const isWaiting = "name = 'attempt' and state in ('created', 'retry', 'active')"
    const statements = {
      delete: `delete from ${job} where ${isWaiting} and ${isDrawn}`,
      double: `insert into ${job} (name, data, start_after, keep_until, policy)
               select name, data, start_after, keep_until, policy from ${job} where ${isWaiting}`,
      later: `update ${job} set start_after = start_after + interval '10 minutes' where ${isWaiting}`,
      again: `update ${job} set state = 'created', start_after = virtual.now()
               where name = 'attempt' and state = 'completed' and ${isDrawn}`,
    }
    await this.database.query(statements[what])
  }

  /** Twilio's account gets a new token; the processes know both after a restart, and the old one is refused. */
  async changeToken(token: string): Promise<void> {
    this.simulator.setAuthToken(token)
    this.#tokens.unshift(token)
    for (const name of PROCESSES) await this.restart(name, 'SIGTERM')
  }

  /** Callbacks that were sent before, at once and in any order, `copies` times each. */
  async repeatCallbacks(copies: number, random: () => number): Promise<void> {
    const all = this.simulator
      .callbacks()
      .flatMap((callback) => Array.from({ length: copies }, () => callback))
    const some = all.sort(() => random() - 0.5).slice(0, 200)
    await Promise.all(
      some.map(({ url, fields }) =>
        postSigned(this.simulator.authToken, url.split('#')[0] ?? '', fields).catch(() => undefined),
      ),
    )
  }

  /** Sids of attempts that Twilio has reported as failed, and then as delivered. */
  readonly deliveredAfterAll = new Set<string>()

  /** One of the failures so far is taken back; the simulator itself knows nothing of it. */
  async deliverAfterAll(random: () => number): Promise<void> {
    const failed = this.simulator.callbacks().filter(({ fields }) => fields['ErrorCode'] !== undefined)
    const callback = failed[Math.floor(random() * failed.length)]
    if (callback === undefined) return
    const { ErrorCode: _, ...fields } = callback.fields
    const delivered = { ...fields, MessageStatus: 'delivered', SmsStatus: 'delivered' }
    const url = callback.url.split('#')[0] ?? ''
    const answer = await postSigned(this.simulator.authToken, url, delivered).catch(() => undefined)
    if (answer?.ok) this.deliveredAfterAll.add(callback.message_sid)
  }

  /** Rows that the app has deleted, as they were. */
  readonly forgotten: Row[] = []

  async forget(random: () => number): Promise<void> {
    const least = Math.floor(random() * 5)
    this.forgotten.push(...(await deleteFinal<Row>(this.database, FINAL, ROW_COLUMNS, least)))
  }

  #hasRefused = false

  async refuse(campaign: number, how: Refusal): Promise<void> {
    this.#hasRefused = true
    await refuseChanges(this.database, campaign, how)
  }

  async allow(campaign: number): Promise<void> {
    await allowChanges(this.database, campaign)
  }

  /** @returns what callbacks of other campaigns had to suffer */
  async holdCounter(hold: Hold): Promise<string[]> {
    await untilReady(this.#env['PUBLIC_BASE_URL'] ?? '')
    return holdCounterUnderCallbacks(this, hold)
  }

  /** Moves the clock once nobody is in the middle of a request: what a request takes is real time. */
  async advance(seconds: number): Promise<void> {
    while (!(await this.clock.advance(seconds, (client) => this.#isQuiet(client)))) await sleep(50)
  }

  async #isQuiet(client: pg.Client): Promise<boolean> {
    return (await this.#claims.areSettled(client)) && this.simulator.openRequests() === 0
  }

  /** Ends every fault; a deploy that is under way comes to its end. */
  async heal(): Promise<void> {
    this.simulator.setChaos(NO_CHAOS)
    this.simulator.setAccountStatus('active')
    await this.#proxy.set('there')
    await allowChanges(this.database, null)
    if (this.#olderCli !== null) {
      this.#olderCli = null
      for (const name of PROCESSES) await this.restart(name, 'SIGTERM')
    }
    // A worker leaves a row that was refused alone for ten minutes of its own clock, which is not virtual.
    if (this.#hasRefused) for (const name of WORKERS) await this.restart(name, 'SIGTERM')
    for (const [name, process] of this.#processes) {
      if (process.child.exitCode !== null || process.child.signalCode !== null) this.#launch(name)
    }
    await untilReady(this.#env['PUBLIC_BASE_URL'] ?? '')
  }

  /** What the processes printed. */
  output(): string {
    return this.#launched.map(([name, { stderr }]) => `--- ${name}\n${stderr()}`).join('\n')
  }

  async stop(): Promise<void> {
    for (const process of this.#processes.values()) process.kill('SIGKILL')
    await Promise.all([...this.#processes.values()].map(({ ended }) => ended))
    await this.#proxy.set('there')
    await this.#sender.close()
    await this.#runtime.database.close()
    await this.simulator.close()
    await this.#proxy.close()
  }
}
