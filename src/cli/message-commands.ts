// The commands `send`, `list` and `show`.
import type { Env } from '../config/config.ts'
import { readAccountState } from '../db/account-row.ts'
import { findMessage, listMessages } from '../db/messages.ts'
import type { SendWindow } from '../delivery/send-window.ts'
import type { DeliveryStatus } from '../delivery/status.ts'
import { createSender, type SendResult } from '../index.ts'
import { maskReason } from '../shared/log.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { createCommandLogger } from './command-logger.ts'
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

export async function listCommand(
  env: Env,
  flags: { readonly status?: DeliveryStatus; readonly limit: number; readonly json?: true },
): Promise<void> {
  const messages = await withDatabase(env, (database) =>
    listMessages(database, flags.status ?? null, flags.limit),
  )
  if (flags.json) printJson(messages.map(messageJson))
  else if (messages.length > 0) print(listView(messages, new Date()))
  else printStatus('No messages match.')
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
