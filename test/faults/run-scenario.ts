// One run: plays the steps, ends the faults, waits until the system has converged, and says what does not hold.
import { setTimeout as sleep } from 'node:timers/promises'
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts'
import { DatabaseError } from '../../src/shared/errors.ts'
import { createRandom, drawHex } from '../../src/simulator/seeded-random.ts'
import type { TestDatabase } from '../support/database.ts'
import { endsOf, type Expected, faultsAfter, stateOf } from './checks.ts'
import { type AppMessage, FaultWorld } from './fault-world.ts'
import type { SendTimes, Step } from './scenario.ts'

export interface RunResult {
  /** What does not hold; empty if all is well. */
  readonly faults: readonly string[]
  /** How many messages ended in which status. */
  readonly statuses: Readonly<Record<string, number>>
  readonly virtualSeconds: number
  /** Of the processes, for whoever looks for the reason. */
  readonly output: string
}

/**
 * @param server for the steps that restart it; null where it is shared
 * @param olderCli the command of an older version, which some of the processes run until the faults end
 */
export async function runScenario(
  database: TestDatabase,
  server: EmbeddedPostgres | null,
  seed: number,
  steps: readonly Step[],
  olderCli: string | null = null,
): Promise<RunResult> {
  const world = await FaultWorld.start(database, seed, olderCli)
  try {
    const run = new Run(world, server, seed)
    const startedMs = world.clock.now()
    for (const step of steps) await run.play(step)
    await run.end()
    const faults = await run.converge()
    const virtualSeconds = Math.round((world.clock.now() - startedMs) / 1000)
    return { faults, statuses: await run.statuses(), virtualSeconds, output: world.output() }
  } finally {
    await world.stop()
  }
}

/** Time for the processes to do what a step sets off. */
const STEP_MS = 60
const OUTAGE_MS = 1_200
const CONVERGES_WITHIN_MS = 240_000

class Run {
  readonly #world: FaultWorld
  readonly #server: EmbeddedPostgres | null
  readonly #random: () => number
  readonly #expected: Expected[] = []
  readonly #sending = new Set<Promise<void>>()
  readonly #faults: string[] = []
  /** When each fault that lasts ends, in seconds of the scenario. */
  #ending: { atSeconds: number; end: () => void | Promise<void> }[] = []
  #nowSeconds = 0
  #texts = 0

  constructor(world: FaultWorld, server: EmbeddedPostgres | null, seed: number) {
    this.#world = world
    this.#server = server
    this.#random = createRandom(seed + 1)
  }

  async play(step: Step): Promise<void> {
    await this.#advanceTo(step.atSeconds)
    await this.#act(step)
    await sleep(STEP_MS)
  }

  async #advanceTo(seconds: number): Promise<void> {
    for (const { atSeconds, end } of this.#ending.filter((each) => each.atSeconds <= seconds)) {
      await this.#advance(atSeconds)
      await end()
    }
    this.#ending = this.#ending.filter(({ atSeconds }) => atSeconds > seconds)
    await this.#advance(seconds)
  }

  async #advance(toSeconds: number): Promise<void> {
    if (toSeconds <= this.#nowSeconds) return
    await this.#world.advance(toSeconds - this.#nowSeconds)
    this.#nowSeconds = toSeconds
  }

  async #act(step: Step): Promise<void> {
    const world = this.#world
    if ('afterMs' in step) await sleep(step.afterMs)
    switch (step.kind) {
      case 'message':
        return this.#send(step)
      case 'chaos': {
        world.simulator.setChaos(step.faults)
        const none = Object.fromEntries(Object.keys(step.faults).map((name) => [name, 0]))
        this.#endAfter(step, () => world.simulator.setChaos(none))
        return
      }
      case 'kill':
        await world.restart(step.process, 'SIGKILL')
        return
      case 'stop': {
        const isInOrder = await world.restart(step.process, 'SIGTERM')
        if (!isInOrder) this.#faults.push(`${step.process} did not stop in good order after SIGTERM`)
        return
      }
      case 'suspend':
        return world.suspend(step.process)
      case 'database':
        return this.#loseDatabase(step.what)
      case 'jobs':
        return world.disturbJobs(step.what, this.#random)
      case 'callbacks again':
        return world.repeatCallbacks(step.copies, this.#random)
      case 'delivered after all':
        return world.deliverAfterAll(this.#random)
      case 'suspend account':
        world.simulator.setAccountStatus('suspended')
        this.#endAfter(step, () => world.simulator.setAccountStatus('active'))
        return
      case 'new token':
        return world.changeToken(drawHex(this.#random, 32))
      case 'forget':
        return world.forget(this.#random)
      case 'refuse':
        await world.refuse(step.campaign, step.how)
        this.#endAfter(step, () => world.allow(step.campaign))
        return
      case 'hold counter': {
        const to = '+12065550103'
        const work = { how: 'enqueue', to, copies: 1, validForSeconds: null, times: null } as const
        this.#faults.push(...(await world.holdCounter({ ...step, enqueue: () => this.#send(work) })))
        return
      }
    }
  }

  #endAfter(
    { atSeconds, lastsSeconds }: { readonly atSeconds: number; readonly lastsSeconds: number },
    end: () => void | Promise<void>,
  ): void {
    this.#ending.push({ atSeconds: atSeconds + lastsSeconds, end })
  }

  async #loseDatabase(what: Extract<Step, { kind: 'database' }>['what']): Promise<void> {
    if (what === 'terminate') return this.#world.terminateConnections()
    if (what === 'cut') return this.#world.loseDatabase('away', OUTAGE_MS)
    if (what === 'silence') return this.#world.loseDatabase('silent', OUTAGE_MS)
    await this.#server?.restart(what === 'crash' ? 'crash' : 'shutdown')
  }

  #send({
    how,
    to,
    copies,
    validForSeconds,
    times,
  }: Omit<Extract<Step, { kind: 'message' }>, 'kind' | 'atSeconds'>): void {
    this.#texts += 1
    const body = `This is text number ${this.#texts} of this run`
    for (let i = 0; i < copies; i += 1) {
      const options = sendOptions(times, validForSeconds, this.#world.clock.now())
      const sending = this.#sendOne(how, { to, body, ...options })
      const kept = sending.finally(() => this.#sending.delete(kept))
      this.#sending.add(kept)
    }
  }

  async #sendOne(how: 'send' | 'enqueue' | 'roll back', message: AppMessage): Promise<void> {
    const world = this.#world
    try {
      if (how === 'roll back') {
        await world.rollBack(message)
        this.#expected.push({ body: message.body, recorded: 'no' })
        return
      }
      const { id } = how === 'send' ? await world.send(message) : await world.enqueue(message)
      this.#expected.push({ body: message.body, recorded: 'yes', id })
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      this.#expected.push({ body: message.body, recorded: how === 'roll back' ? 'no' : error.written })
    }
  }

  /** Ends the faults. */
  async end(): Promise<void> {
    await this.#world.heal()
    await Promise.all(this.#sending)
  }

  /** @returns what does not hold */
  async converge(): Promise<string[]> {
    const { database } = this.#world
    const givenUpMs = performance.now() + CONVERGES_WITHIN_MS
    let leastSeconds = 1
    let before = ''
    while (performance.now() < givenUpMs) {
      await this.#untilIdle()
      const { open, nextSeconds, digest } = await stateOf(database)
      if (open === 0) break
      // Nothing has changed since the last leap: take a longer one.
      leastSeconds = digest === before ? Math.min(leastSeconds * 2, 6 * 3600) : 1
      before = digest
      await this.#world.advance(Math.max(nextSeconds + 1, leastSeconds))
    }
    await this.#untilIdle()
    this.#faults.push(...(await faultsAfter(this.#world, this.#expected)))

    // Three days later every callback comes once more, in another order: what is over does not change.
    const settled = await endsOf(database)
    await this.#world.advance(3 * 24 * 3600)
    for (let i = 0; i < 3; i += 1) await this.#world.repeatCallbacks(1, this.#random)
    await this.#untilIdle()
    const after = await endsOf(database)
    for (const [id, end] of settled) {
      if (after.get(id) !== end) this.#faults.push(`message ${id}: ${end}; three days later ${after.get(id)}`)
    }
    return [...this.#faults]
  }

  /** Until all that is due has been done: no job, no overdue message, no callback under way. Gives up after a while. */
  async #untilIdle(): Promise<void> {
    const givenUpMs = performance.now() + 15_000
    for (let quiet = 0; quiet < 3 && performance.now() < givenUpMs; ) {
      await this.#world.simulator.idle()
      const { due } = await stateOf(this.#world.database)
      quiet = due === 0 && this.#world.simulator.openRequests() === 0 ? quiet + 1 : 0
      await sleep(40)
    }
  }

  async statuses(): Promise<Record<string, number>> {
    const rows = await this.#world.database.query<{ status: string; count: number }>(
      'select final_status as "status", count(*)::int as "count" from sms_usage_logs group by 1 order by 1',
    )
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]))
  }
}

/** @param nowMs by the virtual clock */
function sendOptions(
  times: SendTimes | null,
  validForSeconds: number | null,
  nowMs: number,
): Omit<AppMessage, 'to' | 'body'> {
  if (validForSeconds !== null) return { validForSeconds }
  const { sendAfterSeconds = null, window = null } = times ?? {}
  const minutesFromNow = (minutes: number): string =>
    new Date(nowMs + minutes * 60_000).toISOString().slice(11, 16)
  return {
    ...(sendAfterSeconds === null ? {} : { sendAfter: new Date(nowMs + sendAfterSeconds * 1000) }),
    ...(window === null
      ? {}
      : {
          timeZone: 'UTC',
          sendWindow: {
            from: minutesFromNow(window.opensInMinutes),
            to: minutesFromNow(window.opensInMinutes + window.lastsMinutes),
          },
        }),
  }
}
