// Use case: old messages are removed, or only their texts, as long as the owner of the table keeps them. In small batches
// with pauses, so that callbacks and attempts are not held up. Any number of processes may do so at once, and one that
// is stopped, or dies, leaves nothing half done: the next one goes on with what is left.
import { setTimeout as sleep } from 'node:timers/promises'
import { readClock } from '../db/overdue.ts'
import type { Db } from '../postgres/pool.ts'
import { type PruneAct, pruneWindow } from '../db/prunable-messages.ts'
import type { Cursor } from '../db/search.ts'

/**
 * Twice as long as callbacks are late and attempts are in doubt: until then, the row is what a callback is recorded in, and
 * what an entry of Twilio's list is compared with.
 */
export const MIN_AGE_DAYS = 7

export interface PruneOptions {
  /** `content`: the text and Twilio's words on failures go, the row stays. `rows`: the row goes. */
  readonly what: 'content' | 'rows'
  readonly olderThanDays: number
  /** Only count them. */
  readonly dryRun?: boolean
  /** Messages that are looked at, and at most changed, by one transaction. */
  readonly batchSize?: number
}

/** How far it has come. */
export interface Pruned {
  readonly pruned: number
  readonly createdBefore: Date
  /** The time of the last message that was looked at, as PostgreSQL writes it; null before the first. */
  readonly lookedUpTo: string | null
  /** False if it was stopped before its end. */
  readonly isComplete: boolean
}

const BATCH_SIZE = 1_000
const MAX_PAUSE_MS = 1_000
const MS_A_DAY = 86_400_000

/**
 * What somebody else has locked is left for the next run.
 *
 * @param onBatch told after each batch
 * @param signal stops it after the batch under way
 * @throws DatabaseError if the database failed, or refused (a foreign key of the app's, a trigger); batches before stay done
 */
export async function prune(
  db: Db,
  { what, olderThanDays, dryRun = false, batchSize = BATCH_SIZE }: PruneOptions,
  onBatch: (sofar: Pruned) => void = () => undefined,
  signal?: AbortSignal,
): Promise<Pruned> {
  if (!(olderThanDays >= MIN_AGE_DAYS))
    throw new RangeError(`messages are kept for ${MIN_AGE_DAYS} days at least`)
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
    // As long as the batch took: half of the time belongs to others. What was only read is in nobody's way.
    if (batch.pruned > 0 && !dryRun) await sleep(Math.min(performance.now() - startedMs, MAX_PAUSE_MS))
  }
  return sofar(false)
}
