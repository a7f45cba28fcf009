// The commands `send`, `list` and `show`.
import type { Env } from '../config/config.ts'
import { readAccountState } from '../db/account-row.ts'
import { findMessage, listMessages, type StoredMessage } from '../db/messages.ts'
import { readClock } from '../db/overdue.ts'
import { type Cursor, MAX_READ, type SearchPage, searchMessages } from '../db/search.ts'
import type { SendWindow } from '../delivery/send-window.ts'
import { createSender, type SendResult } from '../index.ts'
import { type MessageFilter, toSearch } from '../messages/message-filter.ts'
import type { Database } from '../postgres/pool.ts'
import { count } from '../shared/figures.ts'
import { maskReason } from '../shared/log.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { createCommandLogger } from './command-logger.ts'
import { filterOf, isFilter } from './filter-flags.ts'
import { formatTime } from './format-time.ts'
import { listView, messageJson, showView } from './message-views.ts'
import { withDatabase } from './with-database.ts'

export interface SendFlags {
  readonly to: string
  readonly body: string
  readonly user?: string
  readonly key?: string
  readonly validFor?: number
  readonly sendAfter?: Date
  readonly sendWindow?: SendWindow | 'any'
  readonly timeZone?: string
  readonly json?: true
}

/** @returns false if the message failed and will not be retried */
export async function sendCommand(env: Env, flags: SendFlags): Promise<boolean> {
  const sender = await createSender({ logger: createCommandLogger(env) })
  try {
    const result = await sender.send({
      userId: flags.user,
      to: flags.to,
      body: flags.body,
      idempotencyKey: flags.key,
      validForSeconds: flags.validFor,
      sendAfter: flags.sendAfter,
      sendWindow: flags.sendWindow,
      timeZone: flags.timeZone,
    })
    if (flags.json) printJson(result)
    else print(resultView(result, flags.to))
    return result.status !== 'failed'
  } finally {
    await sender.close()
  }
}

/** The result on one line, and on another one why nothing was submitted. */
function resultView(result: SendResult, to: string): string {
  const { id, status, sid, errorCode, reason } = result
  const line = [`message ${id}: ${status}`, sid, errorCode, nextRetry(result)].filter(Boolean).join(' ')
  return reason === undefined ? line : `${line}\n${maskReason(reason, to)}`
}

function nextRetry({ nextRetryAt }: SendResult): string {
  return nextRetryAt === undefined ? '' : `(next attempt at ${formatTime(nextRetryAt)})`
}

export interface ListFlags extends MessageFilter {
  readonly limit: number
  readonly json?: true
}

export async function listCommand(env: Env, flags: ListFlags): Promise<void> {
  const { messages, isComplete } = await withDatabase(env, (database) => findListed(database, flags))
  if (flags.json) printJson(messages.map(messageJson))
  else if (messages.length > 0) print(listView(messages, new Date()))
  else printStatus('No messages match.')
  if (!isComplete) printStatus(NOT_ALL_SEARCHED)
}

const NOT_ALL_SEARCHED =
  `Only the newest ${count(MAX_READ)} messages were searched. To search all messages of a time, add --since, ` +
  'such as --since 30d.'

/** A search for a code or metadata reads rows. Without a start time, only the newest ones are read. */
async function findListed(
  database: Database,
  { limit, ...flags }: ListFlags,
): Promise<{ readonly messages: readonly StoredMessage[]; readonly isComplete: boolean }> {
  const { status, ...others } = filterOf(flags)
  const [only = null, ...more] = status ?? []
  if (more.length === 0 && !isFilter(others))
    return { messages: await listMessages(database, only, limit), isComplete: true }
  const search = toSearch(filterOf(flags), await readClock(database))
  const messages: StoredMessage[] = []
  let next: Cursor | null = null
  do {
    const page: SearchPage = await searchMessages(database, search, next, { limit: limit - messages.length })
    messages.push(...page.messages)
    next = page.next
  } while (next !== null && messages.length < limit && search.since !== null)
  return { messages, isComplete: next === null || messages.length === limit }
}

/** @returns false if the message does not exist */
export async function showCommand(
  env: Env,
  id: number,
  flags: { readonly showContent?: true; readonly json?: true },
): Promise<boolean> {
  const { json, showContent = false } = flags
  return withDatabase(env, async (database) => {
    const message = await findMessage(database, id)
    if (message === null) {
      printStatus(`Message ${id} does not exist.`)
      return false
    }
    if (json) printJson(messageJson(message))
    else print(showView(message, await readAccountState(database), showContent))
    return true
  })
}
