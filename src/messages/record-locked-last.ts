// Records the events of a batch whose locked rows must not use up the time in which the others have to be recorded.
import {
  type LockWait,
  type MessageEvent,
  type RecordDeps,
  type RecordResult,
  recordIsolated,
} from '../recording/record-events.ts'

/** A locked row must not hold up the others for long. */
const LOCK_TIMEOUT_MS = 1_000

/** Like `recordIsolated`, but waits for locked rows only after all others are recorded. */
export async function recordLockedLast(
  deps: RecordDeps,
  messageEvents: readonly MessageEvent[],
): Promise<readonly PromiseSettledResult<RecordResult>[]> {
  if (messageEvents.length === 0) return []
  const recordAll = (
    events: readonly MessageEvent[],
    lockedRows: LockWait['lockedRows'],
  ): Promise<PromiseSettledResult<RecordResult>[]> =>
    recordIsolated(deps, events, { lockedRows, lockTimeoutMs: LOCK_TIMEOUT_MS })
  const results = await recordAll(messageEvents, 'skip')
  const isLeft = (result: PromiseSettledResult<RecordResult> | undefined): boolean =>
    result?.status === 'fulfilled' && !result.value.known
  const left = messageEvents.filter((_event, i) => isLeft(results[i]))
  if (left.length === 0) return results
  const waited = await recordAll(left, 'wait')
  return results.map((result) => (isLeft(result) ? (waited.shift() ?? result) : result))
}
