// Formats messages: a table or a list of facts for people, and JSON with stable keys.
import type { StoredAccountState } from '../db/account-row.ts'
import type { StoredMessage } from '../db/messages.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import { describeWindow } from '../delivery/message-window.ts'
import { nextStepOf } from '../delivery/next-step.ts'
import { type DeliveryStatus, isDelivered, isFailure } from '../delivery/status.ts'
import { toMessageView } from '../messages/message-view.ts'
import { maskNumber, maskReason } from '../shared/log.ts'
import { type Style, styled } from '../shared/output.ts'
import { printableLine } from '../shared/printable.ts'
import { formatMinute, formatTime } from './format-time.ts'
import { type Cell, hanging, table } from './table.ts'

export function listView(messages: readonly StoredMessage[], now: Date): string {
  return table(
    ['ID', 'CREATED', 'USER', 'TO', 'STATUS', 'RETRIES', 'NEXT RETRY', 'REASON'],
    messages.map((message) => [
      `${message.id}`,
      formatMinute(message.createdAt),
      `${message.userId ?? ''}`,
      maskNumber(message.to),
      statusCell(message.status),
      `${message.retryCount}`,
      message.nextRetryAt === null ? '' : timeUntil(message.nextRetryAt, now),
      maskReason(message.reason ?? '', message.to),
    ]),
  )
}

function statusCell(status: DeliveryStatus): Cell {
  return { text: status, style: styleOf(status) }
}

function styleOf(status: DeliveryStatus): Style {
  return isDelivered(status) ? 'green' : isFailure(status) ? 'red' : 'yellow'
}

/** Rounded, to keep the table narrow; `show` and JSON have the exact time. */
function timeUntil(at: Date, now: Date): string {
  // A retry set aside is due at `infinity` in the row. db/message-row.ts reads that as the year 9999.
  if (at.getUTCFullYear() >= 9999) return 'set aside'
  const seconds = Math.round((at.getTime() - now.getTime()) / 1000)
  if (seconds <= 0) return 'now'
  if (seconds < 120) return `in ${seconds} s`
  if (seconds < 7200) return `in ${Math.round(seconds / 60)} min`
  const hours = Math.round(seconds / 3600)
  return hours < 72 ? `in ${hours} h` : `in ${Math.round(hours / 24)} d`
}

const FACT_WIDTH = 13

/** @param showContent false masks the phone number and hides the text */
export function showView(
  message: StoredMessage,
  { state: account, now }: Pick<StoredAccountState, 'state' | 'now'>,
  showContent: boolean,
): string {
  const { status, to, body, retryCount, maxRetries, processingTimeMs } = message
  const { what, at } = nextStepOf(message, account, now)
  const masked = (text: string): string => (showContent ? text : maskReason(text, to))
  const facts: [string, string | null][] = [
    ['Message', `${message.id}`],
    ['Status', status],
    ['Reason', masked(message.reason ?? '')],
    ['Next step', at === null ? what : `${what}: ${formatTime(at)}`],
    ['To', showContent ? to : maskNumber(to)],
    ['User', `${message.userId ?? ''}`],
    ['Text', showContent || body === null ? body : hiddenText(body)],
    ['Created', formatTime(message.createdAt)],
    ['Deadline', formatTime(message.deadline)],
    ['Send after', formatTime(message.sendAfter)],
    ['Send window', describeWindow(message)],
    ['Next retry', formatTime(message.nextRetryAt)],
    ['Retries', `${retryCount} of at most ${maxRetries}`],
    ['Last request', processingTimeMs === null ? null : `${processingTimeMs} ms`],
    ['Metadata', masked(metadataText(message.metadata))],
  ]
  const lines = facts.flatMap(([name, value]) => {
    if (value === null || value === '') return []
    const shown = hanging(value, FACT_WIDTH)
    return [name.padEnd(FACT_WIDTH) + (name === 'Status' ? styled(styleOf(status), shown) : shown)]
  })
  return [...lines, '', ...message.attempts.map((attempt) => masked(attemptView(attempt)))].join('\n')
}

/** Empty without metadata. */
function metadataText(metadata: StoredMessage['metadata']): string {
  return Object.keys(metadata).length === 0 ? '' : JSON.stringify(metadata)
}

function hiddenText(body: string): string {
  const { length } = [...body]
  return `${length} ${length === 1 ? 'character' : 'characters'} (--show-content shows phone number and text)`
}

function attemptView(attempt: StoredMessage['attempts'][number]): string {
  const { number, sid, status, errorCode, errorText } = attempt
  const failure = errorCode === null ? errorText : `${errorCode}: ${reasonOf(errorCode)}`
  const head = [`Attempt ${number}: ${status}`, sid, failure].filter(Boolean).join('  ')
  const times = Object.entries(attempt.times).sort(([, one], [, other]) => one.localeCompare(other))
  const lines = [head, ...times.map(([event, at]) => `  ${at.replace('T', ' ')}  ${event}`)]
  return lines.map(printableLine).join('\n')
}

/** Stable: keys are added, never renamed. Times are ISO 8601 in UTC. */
export const messageJson: (message: StoredMessage) => object = toMessageView
