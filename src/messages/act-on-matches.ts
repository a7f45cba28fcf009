// Use case: retries or cancels all messages that match a search, in batches. A dry run only counts them.
//
// The messages are read in the order of their creation, up to the largest id at the start. So each is acted upon at most
// once: a message that fails again meanwhile is not retried again, and a new one is left alone.
import { readAccountState } from '../db/account-row.ts'
import { type Cursor, type Now, type Search, searchMessages } from '../db/search.ts'
import type { StoredMessage } from '../db/messages.ts'
import { decide } from '../delivery/decide.ts'
import type { Context } from '../delivery/decision.ts'
import { proofOf } from '../delivery/message-proof.ts'
import { DELIVERY_STATUSES } from '../delivery/status.ts'
import { isWaiting } from '../delivery/transitions.ts'
import type { RecordDeps, RecordResult } from '../recording/record-events.ts'
import { DatabaseError } from '../shared/errors.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import type { Action } from './act-on-message.ts'
import { type BulkResult, Tally } from './bulk-result.ts'
import { searchFields } from './message-filter.ts'
import { recordLockedLast } from './record-locked-last.ts'
import { RetryPace } from './retry-pace.ts'

export interface BulkAction {
  readonly kind: Action['kind']
  readonly search: Search
  /** Whether to retry even if the policy never retries the error code. */
  readonly force: boolean
  /** Who asks for it. */
  readonly by: string
  /** When the person asked for it. */
  readonly start: Now
  /** How many retries become due per second. */
  readonly retriesPerSecond: number
}

/** Where a run begins, and when it ends early. */
export interface BulkRange {
  /** Null for the oldest message. */
  readonly after: Cursor | null
  /** How many messages were already retried since the start. Their attempts become due first. */
  readonly alreadyChanged?: number
  /** The run ends at this number of matching messages. */
  readonly maxMatched?: number
  /** When aborted, the run ends after the current batch. */
  readonly signal?: AbortSignal
}

type Deps = RecordDeps & { readonly logger: Logger }

/** A person who cancels a message does not expect it to be sent by a retry of others. */
const NOT_CANCELED = DELIVERY_STATUSES.filter((status) => status !== 'canceled')

/** Without a status, a retry leaves out canceled messages. */
export function searchOf({ kind, search }: Pick<BulkAction, 'kind' | 'search'>): Search {
  return kind === 'retry' ? { ...search, statuses: search.statuses ?? NOT_CANCELED } : search
}

const COUNT_PAGE_SIZE = 1_000
const BATCH_SIZE = 100

/** The result that `actOnMatches` would have now. Changes nothing. */
export async function countMatches(
  deps: Omit<Deps, 'queue'>,
  action: BulkAction,
  range: BulkRange,
): Promise<BulkResult> {
  const tally = new Tally(range.after)
  await forEachPage(deps, action, range, COUNT_PAGE_SIZE, tally, async (plans) => {
    for (const { why } of plans) tally.count(why)
  })
  return tally.result()
}

/**
 * @param onBatch receives the result so far
 * @throws DatabaseError if the database failed: the last result of `onBatch` is what was done, or more if `written` is
 *   `unknown`. It is safe to run it again
 */
export async function actOnMatches(
  deps: Deps,
  action: BulkAction,
  range: BulkRange,
  onBatch: (soFar: BulkResult) => void = () => undefined,
): Promise<BulkResult> {
  const tally = new Tally(range.after)
  try {
    await forEachPage(deps, action, range, BATCH_SIZE, tally, async (plans) => {
      try {
        await record(deps, action, plans, tally)
      } finally {
        onBatch(tally.result())
      }
    })
  } finally {
    logRun(deps.logger, action, tally.result())
  }
  return tally.result()
}

/** A message of a page, and the planned event. */
interface Plan {
  readonly message: StoredMessage
  readonly event: Action
  /** Why it would have no effect; null if it would have one. */
  readonly why: string | null
}

async function forEachPage(
  deps: Omit<Deps, 'queue'>,
  action: BulkAction,
  { after, alreadyChanged = 0, maxMatched = Number.POSITIVE_INFINITY, signal }: BulkRange,
  pageSize: number,
  tally: Tally,
  handle: (plans: readonly Plan[]) => Promise<void>,
): Promise<void> {
  const search = searchOf(action)
  const { now } = await readAccountState(deps.database)
  const pace = new RetryPace(action, alreadyChanged, now)
  for (let position = after; signal?.aborted !== true && tally.matched < maxMatched; ) {
    const limit = Math.min(pageSize, maxMatched - tally.matched)
    const page = await searchMessages(deps.database, search, position, {
      ...{ limit, first: 'oldest', upToId: action.start.maxId },
    })
    const { state: account, now } = await readAccountState(deps.database)
    const context = {
      policy: deps.policy,
      circumstances: deps.circumstances,
      account,
      now,
      random: deps.random(),
    }
    await handle(planPage(page.messages, action, pace, context))
    tally.endPage(page.next)
    if (page.next === null) return
    position = page.next
  }
}

function planPage(
  messages: readonly StoredMessage[],
  action: BulkAction,
  pace: RetryPace,
  context: Context,
): Plan[] {
  return messages.map((message) => {
    const event = eventFor(message, action, pace.next())
    const decision = decide(message, event, context)
    const why = decision.kind === 'ignore' ? decision.why : null
    // A message that waits keeps its place, so that a second run does not reschedule the retries of the first.
    if (why === null || isWaiting(message)) pace.take()
    return { message, event, why }
  })
}

function eventFor({ status, retryCount }: StoredMessage, action: BulkAction, notBefore: Date): Action {
  const { kind, force, by, start } = action
  if (kind === 'cancel') return { kind, by }
  return { kind, seen: { status, retryCount }, force, by, unchangedSince: start.at, notBefore }
}

async function record(deps: Deps, { kind }: BulkAction, plans: readonly Plan[], tally: Tally): Promise<void> {
  for (const { why } of plans) if (why !== null) tally.count(why)
  const possible = plans.filter(({ why }) => why === null)
  const messageEvents = possible.map(({ message, event }) => ({
    target: { id: message.id, proof: proofOf(message) },
    event,
  }))
  const results = await recordLockedLast(deps, messageEvents)
  let databaseFailure: DatabaseError | undefined
  for (const [i, result] of results.entries()) {
    const messageId = possible[i]?.message.id
    if (result.status === 'fulfilled') {
      const why = whyUnchanged(result.value)
      tally.count(why)
      deps.logger.debug('Bulk action on a message', { messageId, action: kind, why })
      continue
    }
    const error: unknown = result.reason
    if (!(error instanceof DatabaseError)) throw error
    if (error.scope === 'database') {
      databaseFailure = error
      continue
    }
    tally.countFailed()
    deps.logger.warn('A bulk action could not change a message', {
      messageId,
      action: kind,
      ...errorFields(error),
    })
  }
  if (databaseFailure !== undefined) throw databaseFailure
}

/** Null if the message was changed. */
function whyUnchanged(result: RecordResult): string | null {
  if (!result.known) return 'it was deleted in the meantime'
  return result.decision.kind === 'ignore' ? result.decision.why : null
}

/** One line per run. */
function logRun(
  logger: Logger,
  { kind, search, force, by }: BulkAction,
  { matched, changed, failed, isComplete }: BulkResult,
): void {
  logger.info('Bulk action', {
    action: kind,
    by,
    ...(force ? { force } : {}),
    ...searchFields(search),
    matched,
    changed,
    failed,
    isComplete,
  })
}
