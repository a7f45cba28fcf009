// Use case: deletes messages above an age, or only their texts. It works in small batches with pauses, so callbacks and
// attempts are not delayed. Several processes may run it at the same time. If one stops or dies, the next run continues.
import { setTimeout as sleep } from 'node:timers/promises'
import { readClock } from '../db/overdue.ts'
import type { Db } from '../postgres/pool.ts'
import { type PruneAct, pruneWindow } from '../db/prunable-messages.ts'
import type { Cursor } from '../db/search.ts'

/**
 * Twice the three days in which callbacks may come and attempts may be in doubt. Until then the row is needed, for callbacks
 * and to compare it with Twilio's message list.
 */
export const MIN_AGE_DAYS = 7

export interface PruneOptions {
  /** `content` deletes the text and Twilio's error texts; `rows` deletes the rows. */
  readonly what: 'content' | 'rows'
  readonly olderThanDays: number
  /** Only count the messages. */
  readonly dryRun?: boolean
  /** The maximum number of messages in one transaction. */
  readonly batchSize?: number
}

/** The progress. */
export interface Pruned {
  readonly pruned: number
  readonly createdBefore: Date
  /** The time of the last message that was checked, as PostgreSQL writes it; null before the first. */
  readonly lookedUpTo: string | null
  /** False if it was stopped before the end. */
  readonly isComplete: boolean
}

const BATCH_SIZE = 1_000
const MAX_PAUSE_MS = 1_000
const MS_A_DAY = 86_400_000

/**
 * Rows that another transaction has locked are left for the next run.
 *
 * @param onBatch called after each batch
 * @param signal stops it after the current batch
 * @throws DatabaseError if the database failed or refused (a foreign key or a trigger of the app). Completed batches stay
 */
export async function prune(
  db: Db,
  { what, olderThanDays, dryRun = false, batchSize = BATCH_SIZE }: PruneOptions,
  onBatch: (sofar: Pruned) => void = () => undefined,
  signal?: AbortSignal,
): Promise<Pruned> {
  if (!(olderThanDays >= MIN_AGE_DAYS))
    throw new RangeError(`messages must be kept for at least ${MIN_AGE_DAYS} days`)
  const now = await readClock(db)
  const createdBefore = new Date(now.getTime() - olderThanDays * MS_A_DAY)
  const act: PruneAct = dryRun ? `count ${what}` : what

  let after: Cursor | null = null
  let pruned = 0
  const sofar = (isComplete: boolean): Pruned => ({
    pruned,
    createdBefore,
    lookedUpTo: after?.createdAt ?? null,
    isComplete,
  })
  while (signal?.aborted !== true) {
    const startedMs = performance.now()
    const batch = await pruneWindow(db, act, { createdBefore, after, limit: batchSize })
    if (batch.last === null) return sofar(true)
    after = batch.last
    pruned += batch.pruned
    onBatch(sofar(false))
    // Pauses for as long as the batch took, to leave half of the time to others. A dry run disturbs nobody.
    if (batch.pruned > 0 && !dryRun) await sleep(Math.min(performance.now() - startedMs, MAX_PAUSE_MS))
  }
  return sofar(false)
}
