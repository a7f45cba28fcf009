// One run: the app sends without a pause while its database fails over again and again; then everything must converge.
import { setTimeout as sleep } from 'node:timers/promises'
import { wasCreated } from '../../src/simulator/submission-answer.ts'
import { waitFor } from '../support/wait-for.ts'
import { bodyOf } from './callers.ts'
import { addLosses, isFinal, judge, type Losses, type Verdict } from './checks.ts'
import { DATABASE, type Replication } from './cluster.ts'
import { FailoverWorld, type Row } from './failover-world.ts'
import type { PostgresNode } from './postgres-node.ts'

export interface RunOptions {
  readonly replication: Replication
  readonly messages: number
  readonly failovers: number
  readonly delayScale: number
}

/** In messages, where nothing else is said. */
export interface Figures {
  readonly lost: number
  readonly doubled: number
  readonly recordedFalsely: number
  /** The same figures for messages that lost a transaction in a failover: the cost of asynchronous replication. */
  readonly affected: {
    readonly messages: number
    /** Rows that were committed, and are gone: only the caller knows of them ... */
    readonly rowsLost: number
    /** ... and Twilio, in whose hands these were ... */
    readonly rowsLostAtTwilio: number
    /** ... and these were never sent, nor sent again by their caller. */
    readonly neverSent: number
    readonly sentTwice: number
    /** Whether Twilio has the latest attempt cannot be told: they wait for a person. */
    readonly inDoubt: number
    /** Beside that the row does not know the first of two. */
    readonly recordedFalsely: number
  }
  /** Ids of rows that are gone which other messages have got. */
  readonly idsGivenOutAgain: number
  /** Callbacks of rows that are gone, which came once more after the failover. */
  readonly lateCallbacks: number
  /** Sends that failed, by what they said of the row. */
  readonly failedSends: { readonly no: number; readonly unknown: number }
  /** How many rows had which status when the primary was killed, over all failovers. */
  readonly atTheKill: Readonly<Record<string, number>>
}

export interface RunResult {
  readonly figures: Figures
  /** What should not be; empty if all is well. */
  readonly faults: readonly string[]
}

/** Rows whose ids the standby gives out again: it is up to 32 numbers ahead in the sequence. */
const MIN_GIVEN_OUT_AGAIN = 5

/** An attempt in doubt is looked for 15 s after its claim, and again some seconds later. */
const ASKED_WITHIN_MS = 40_000

const CONVERGES_WITHIN_MS = 240_000

export async function runFailovers(options: RunOptions): Promise<RunResult> {
  const world = await FailoverWorld.start(options.replication, options.delayScale)
  try {
    return await new Run(world, options).result()
  } finally {
    await world.stop()
  }
}

class Run {
  readonly #world: FailoverWorld
  readonly #options: RunOptions
  readonly #losses: Losses = { rows: new Map(), changes: new Set() }
  readonly #atTheKill: Record<string, number> = {}
  #lateCallbacks = 0
  #repeating: { stop(): Promise<number> } | undefined

  constructor(world: FailoverWorld, options: RunOptions) {
    this.#world = world
    this.#options = options
  }

  async result(): Promise<RunResult> {
    const { messages, failovers } = this.#options
    const size = Math.floor(messages / failovers)
    for (let i = 0; i < failovers; i += 1) {
      const end = i === failovers - 1 ? messages : (i + 1) * size
      const calling = this.#world.callers.run(i * size, end)
      await Promise.all([calling, this.#failOver(i, i * size, end - i * size)])
    }
    await this.#converge()
    const rows = await this.#rows()
    const result = this.#judge(rows)
    await this.#world.repeatEachCallback()
    await this.#settled()
    return { ...result, faults: [...result.faults, ...changedBetween(rows, await this.#rows())] }
  }

  /** The primary dies while the app sends `count` messages, in the middle of them. */
  async #failOver(index: number, first: number, count: number): Promise<void> {
    const { cluster, callers } = this.#world
    const untilTold = (share: number): Promise<unknown> =>
      waitFor('messages to be sent', () => callers.told.length >= first + share * count, CONVERGES_WITHIN_MS)
    await untilTold(0.2)
    if (cluster.replication === 'synchronous') await this.#strain(index, untilTold)
    else await this.#fallBehind()
    const killed = await cluster.killPrimary(index % 2 === 0 ? 'reset' : 'silence')
    const promoted = await cluster.promote()
    const has = await this.#world.rowsOn(promoted)
    await this.#stopRepeating()
    cluster.repoint()
    await killed.reopen()
    const had = await this.#world.rowsOn(killed)
    await killed.remove()
    for (const { status } of had) this.#atTheKill[status] = (this.#atTheKill[status] ?? 0) + 1
    // With a synchronous standby, what only the old primary has was never answered: nobody was told of it.
    if (cluster.replication === 'asynchronous') addLosses(this.#losses, had, has)
    this.#repeatCallbacks()
    await cluster.completeStandbys()
  }

  /** Some commits wait for a standby when the primary dies, or one of the two standbys is behind. */
  async #strain(index: number, untilTold: (share: number) => Promise<unknown>): Promise<void> {
    const { cluster } = this.#world
    cluster.cutReplication(index % 2 === 0 ? 'all' : 'all but one')
    if (index % 2 === 1) return void (await untilTold(0.6))
    await waitFor('commits that wait for a standby', async () => (await waitingCommits(this.#world)) >= 3)
  }

  /** The standby hears nothing more, until there are rows whose ids it would give out again. */
  async #fallBehind(): Promise<void> {
    const { cluster } = this.#world
    const [standby] = cluster.standbys
    if (standby === undefined) throw new Error('There is no standby that could fall behind')
    cluster.cutReplication()
    const waits = 'rows whose ids the standby would give out again'
    await waitFor(
      waits,
      async () => {
        const newest = await newestId(cluster.primary, 'select max(id)::integer as "id" from sms_usage_logs')
        const ahead = await newestId(standby, 'select last_value::integer as "id" from sms_usage_logs_id_seq')
        return newest >= ahead + MIN_GIVEN_OUT_AGAIN
      },
      CONVERGES_WITHIN_MS,
    )
  }

  /** Twilio repeats callbacks while the app goes on: with an asynchronous standby, those of rows that are gone. */
  #repeatCallbacks(): void {
    const { simulator, cluster } = this.#world
    if (cluster.replication === 'synchronous') {
      this.#repeating = this.#world.repeatCallbacks(() => true)
      return
    }
    const gone = new Set(
      simulator.messages().flatMap(({ sid, body }) => (this.#losses.rows.has(body ?? '') ? [sid] : [])),
    )
    this.#repeating = this.#world.repeatCallbacks((sid) => gone.has(sid))
  }

  async #stopRepeating(): Promise<void> {
    const sent = (await this.#repeating?.stop()) ?? 0
    if (this.#options.replication === 'asynchronous') this.#lateCallbacks += sent
    this.#repeating = undefined
  }

  /** Gives up after a while: what is not over then is reported as lost. */
  async #converge(): Promise<void> {
    const givenUpMs = performance.now() + CONVERGES_WITHIN_MS
    const isOver = async (): Promise<boolean> => (await this.#rows()).every((row) => this.#isOver(row))
    while (performance.now() < givenUpMs && !(await isOver())) await sleep(200)
    await this.#stopRepeating()
    await this.#settled()
  }

  /**
   * Where a failover has taken the records of several attempts back, Twilio's list does not say which of them is in doubt:
   * such a message stays so, for a person to decide.
   */
  #isOver(row: Row): boolean {
    if (isFinal(row)) return true
    if (row.status !== 'submitting' || !this.#isAffected(row.body)) return false
    return Date.now() - Date.parse(row.claimedAt ?? '') > ASKED_WITHIN_MS
  }

  /** A failover has taken something of this message back. */
  #isAffected(body: string): boolean {
    return this.#losses.rows.has(body) || this.#losses.changes.has(body)
  }

  async #settled(): Promise<void> {
    await this.#world.simulator.idle()
    await waitFor('the last requests', () => this.#world.simulator.openRequests() === 0)
  }

  #rows(): Promise<Row[]> {
    return this.#world.rowsOn(this.#world.cluster.primary)
  }

  #judge(rows: readonly Row[]): RunResult {
    const { callers, simulator } = this.#world
    const { messages } = this.#options
    const seen = simulator.messages()
    const verdicts = [...judge({ messages, told: callers.told, rows, seen })]
    const affected = verdicts.filter(([number]) => this.#isAffected(bodyOf(number)))
    const unaffected = verdicts.filter(([number]) => !this.#isAffected(bodyOf(number)))
    const count = (of: typeof verdicts, ...whats: (keyof Verdict)[]): number =>
      of.filter(([, verdict]) => whats.some((what) => verdict[what].length > 0)).length
    const rowsLost = this.#losses.rows
    const bodies = new Map(rows.map(({ id, body }) => [id, body]))
    const atTwilio = new Set(seen.flatMap(({ body, answer }) => (wasCreated(answer) ? [body] : [])))
    const isAtTwilio = ([number]: (typeof verdicts)[number]): boolean => atTwilio.has(bodyOf(number))
    const areGone = affected.filter(([, { lost }]) => lost.length > 0)
    // Its row was on the promoted standby, and is gone all the same.
    const areGoneAfterwards = areGone.filter(([number]) => !rowsLost.has(bodyOf(number)))
    return {
      figures: {
        lost: count(unaffected, 'lost', 'open'),
        doubled: count(unaffected, 'doubled'),
        recordedFalsely: count(unaffected, 'recordedFalsely', 'unrecorded'),
        affected: {
          messages: affected.length,
          rowsLost: rowsLost.size,
          rowsLostAtTwilio: areGone.filter(isAtTwilio).length,
          neverSent: areGone.filter((each) => !isAtTwilio(each)).length,
          sentTwice: count(affected, 'doubled'),
          inDoubt: count(affected, 'open'),
          recordedFalsely: count(affected, 'recordedFalsely'),
        },
        idsGivenOutAgain: [...rowsLost].filter(([body, { id }]) => (bodies.get(id) ?? body) !== body).length,
        lateCallbacks: this.#lateCallbacks,
        failedSends: callers.failures,
        atTheKill: this.#atTheKill,
      },
      faults: [...unaffected, ...areGoneAfterwards].flatMap(([number, verdict]) =>
        Object.values(verdict)
          .flat()
          .map((what) => `"${bodyOf(number)}" ${what}`),
      ),
    }
  }
}

async function newestId(node: PostgresNode, statement: string): Promise<number> {
  const [row] = await node.query<{ id: number | null }>(DATABASE, statement)
  return row?.id ?? 0
}

/** Commits of ours that the primary has made, and that no standby has confirmed. */
export async function waitingCommits({ cluster }: FailoverWorld): Promise<number> {
  const rows = await cluster.primary.query(
    'postgres',
    `select 1 from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'sms-retry'`,
  )
  return rows.length
}

function changedBetween(before: readonly Row[], after: readonly Row[]): string[] {
  const now = new Map(after.map((row) => [row.id, endOf(row)]))
  return before
    .filter((row) => isFinal(row) && now.get(row.id) !== endOf(row))
    .map((row) => `row ${row.id} was ${endOf(row)}, and every callback made it ${now.get(row.id)}`)
}

/** Without its times: a failover may have taken the time of a status back that is reported again. */
function endOf({ status, retryCount, attempts }: Row): string {
  const ends = attempts.map(({ number, sid, status: is, error_code: code }) =>
    [number, sid, is, code].join(' '),
  )
  return [status, retryCount, ...ends].join(', ')
}
