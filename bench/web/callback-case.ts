// One round of callbacks against one or more endpoints: the table as it was, the load, the processor time that it took,
// and a look at what has become of the rows and the jobs.
import type { MessageDatabase } from '../database.ts'
import type { LoadResult } from '../load.ts'
import { familyProcessorMs } from '../processes.ts'
import type { BenchCase, Figures } from '../section.ts'
import { isUndelivered } from '../signed-callback.ts'

/** Where an endpoint keeps its jobs. */
export interface Jobs {
  clear(): Promise<void>
  count(): Promise<number>
  /** How many there have to be after the last callbacks of these messages. One for each that failed if left out. */
  readonly expectedFor?: (ids: readonly number[]) => number
}

export interface CallbackCase {
  readonly name: string
  /** The messages whose callbacks are sent, in that order. */
  readonly ids: readonly number[]
  /** Sends the first `amount` callbacks, as fast as they are answered. */
  readonly send: (amount: number) => Promise<LoadResult>
  /** One for each message if left out. */
  readonly stages?: Stages
  /** Null if nothing is written. */
  readonly store: { readonly database: MessageDatabase; readonly jobs: Jobs } | null
  /** Every process whose work it takes, with its children. */
  readonly pids: readonly number[]
  /** How long a round is to be. */
  readonly seconds: number
}

/** Every message has several callbacks: the first ones of a block of messages come before the next ones of the block. */
export interface Stages {
  readonly callbacksPerMessage: number
  readonly messagesPerBlock: number
}

const ONE_STAGE: Stages = { callbacksPerMessage: 1, messagesPerBlock: 1 }

/** From the rate of the first ones follows how many a round sends. Whoever measures lets the first whole round pass. */
const FIRST_PER_SECOND = 1_000

export function callbackCase(options: CallbackCase): Omit<BenchCase, 'close'> {
  const { name, ids, seconds, stages = ONE_STAGE } = options
  const { callbacksPerMessage, messagesPerBlock } = stages
  const wholeBlocks = (messages: number): number =>
    Math.min(Math.ceil(messages / messagesPerBlock) * messagesPerBlock, ids.length)
  let amount: number | undefined
  return {
    name,
    async round() {
      if (amount === undefined) {
        const first = await sendAndCheck(options, wholeBlocks(FIRST_PER_SECOND * seconds))
        amount = wholeBlocks(((first['callbacks/s'] ?? 0) * seconds) / callbacksPerMessage)
      }
      return sendAndCheck(options, amount)
    },
  }
}

async function sendAndCheck(
  { name, ids, send, store, pids, stages = ONE_STAGE }: CallbackCase,
  amount: number,
): Promise<Figures> {
  if (store !== null) {
    await store.jobs.clear()
    await store.database.reset()
  }
  const usedMs = (): number => pids.reduce((sum, pid) => sum + familyProcessorMs(pid), 0)
  const beforeMs = usedMs()
  const callbacks = amount * stages.callbacksPerMessage
  const { seconds, p50Ms, p99Ms } = await send(callbacks)
  const cpuMs = usedMs() - beforeMs
  if (store !== null) await checkRecorded(name, store, ids.slice(0, amount))
  return {
    'callbacks/s': callbacks / seconds,
    'p50 ms': p50Ms,
    'p99 ms': p99Ms,
    'cpu µs': (cpuMs * 1000) / callbacks,
  }
}

/** A callback that was answered and not recorded would make any figure worthless. */
async function checkRecorded(
  name: string,
  { database, jobs }: NonNullable<CallbackCase['store']>,
  ids: readonly number[],
): Promise<void> {
  const undelivered = ids.filter(isUndelivered).length
  const [counts] = await database.query<{ delivered: number; retrying: number }>(
    `select (count(*) filter (where final_status = 'delivered' and success))::integer as "delivered",
            (count(*) filter (where final_status = 'retrying' and next_retry_at > now()))::integer as "retrying"
       from sms_usage_logs`,
  )
  const found = { ...counts, jobs: await jobs.count() }
  const expected = {
    delivered: ids.length - undelivered,
    retrying: undelivered,
    jobs: jobs.expectedFor?.(ids) ?? undelivered,
  }
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${name} has recorded ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`)
  }
}

/**
 * @param table of the jobs, empty before the first round
 * @param condition of those that count
 */
export function jobsInTable(database: MessageDatabase, table: string, condition = 'true'): Jobs {
  return {
    async clear() {
      await database.query(`truncate ${table}`)
    },
    async count() {
      const [row] = await database.query<{ count: number }>(
        `select count(*)::integer as "count" from ${table} where ${condition}`,
      )
      return row?.count ?? 0
    },
  }
}

export const PRODUCT_JOBS = 'sms_retry_pgboss.job'
