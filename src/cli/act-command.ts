// The commands `retry` and `cancel`. Each changes one message, if its state allows that. bulk-command.ts changes many.
import type { Env } from '../config/config.ts'
import { readAccountState } from '../db/account-row.ts'
import { findMessage, type StoredMessage } from '../db/messages.ts'
import type { AccountState } from '../delivery/account-state.ts'
import { nextStepOf } from '../delivery/next-step.ts'
import { type Action, actOnMessage } from '../messages/act-on-message.ts'
import { refuseUsage } from './arguments.ts'
import { bulkCommand, type BulkFlags } from './bulk-command.ts'
import { isFilter } from './filter-flags.ts'
import { formatTime } from './format-time.ts'
import { printActionResult } from './print-action.ts'
import { withRecording } from './with-database.ts'

/** @returns false if nothing was changed */
export function retryCommand(env: Env, id: number | undefined, flags: BulkFlags): Promise<boolean> {
  if (isForMany(id, flags)) return bulkCommand(env, 'retry', flags)
  // Retries only the state that was read: if two people retry a message at the same time, only one of them succeeds.
  return act(env, id, flags, ({ status, retryCount }) => ({
    kind: 'retry',
    seen: { status, retryCount },
    force: flags.force === true,
  }))
}

/** @returns false if nothing was changed */
export function cancelCommand(env: Env, id: number | undefined, flags: BulkFlags): Promise<boolean> {
  if (isForMany(id, flags)) return bulkCommand(env, 'cancel', flags)
  return act(env, id, flags, () => ({ kind: 'cancel' }))
}

/** False for one message, which the id names. */
function isForMany(id: number | undefined, flags: BulkFlags): id is undefined {
  const hasFilter = isFilter(flags)
  if (id === undefined) return hasFilter || refuseUsage(NEITHER)
  if (hasFilter) refuseUsage(BOTH)
  if (flags.dryRun || flags.yes) refuseUsage(ONLY_FOR_MANY)
  return false
}

const NEITHER = 'Name a message by its id, or several by a filter such as --code 30003 --since 24h.'
const BOTH = 'Name either one message by its id, or several by a filter.'
const ONLY_FOR_MANY = '--dry-run and --yes are for several messages, which a filter names.'

function act(
  env: Env,
  id: number,
  { json }: Pick<BulkFlags, 'json'>,
  actionFor: (message: StoredMessage) => Action,
): Promise<boolean> {
  return withRecording(env, ['DATABASE_URL'], async (deps, { database }) => {
    const found = await findMessage(database, id)
    return printActionResult(
      id,
      found,
      (message) => actOnMessage(deps, message, actionFor(message)),
      json,
      async (message) => describeState(message, (await readAccountState(database)).state),
    )
  })
}

function describeState(message: StoredMessage, account: AccountState): string {
  if (message.status === 'canceled') return 'canceled'
  const { nextRetryAt } = message
  // The due time comes from the database's clock. By this machine's clock, a retry for now may not seem due yet.
  const isLater = nextRetryAt !== null && nextRetryAt.getTime() - Date.now() > CLOCK_DIFFERENCE_MS
  const { what, at } = nextStepOf(message, account, isLater ? new Date() : (nextRetryAt ?? new Date()))
  const when = at === null ? '' : ` at ${formatTime(at)}. ${message.reason ?? ''}`
  return `${message.status}. ${what}${when}`
}

const CLOCK_DIFFERENCE_MS = 60_000
