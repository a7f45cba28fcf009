// What the commands print: tables for people, and JSON whose keys stay.
import { styleText } from 'node:util'
import type { StoredMessage } from '../db/messages.ts'
import { reasonOf, type Rule } from '../delivery/error-codes.ts'
import { type RetryPolicy, scheduleOf } from '../delivery/retry-policy.ts'
import { isDelivered, isFailure } from '../delivery/status.ts'
import { maskNumber } from '../log.ts'
import type { PlannedLook, Reconciled } from '../reconcile.ts'

/** Columns as wide as their contents; the last one is cut where the terminal ends. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const most = process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY
  const line = (cells: readonly string[]): string =>
    cut(
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
      most,
    )
  return [styled('bold', line(head)), ...rows.map(line)].join('\n')
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`
}

/** Colours for a terminal only; styleText honours NO_COLOR. */
function styled(format: Parameters<typeof styleText>[0], text: string): string {
  return styleText(format, text, { stream: process.stdout })
}

export function listView(messages: readonly StoredMessage[]): string {
  return table(
    ['ID', 'CREATED', 'USER', 'TO', 'STATUS', 'RETRIES', 'NEXT RETRY', 'REASON'],
    messages.map((message) => [
      `${message.id}`,
      time(message.createdAt),
      `${message.userId}`,
      maskNumber(message.to),
      message.status,
      `${message.retryCount}`,
      time(message.nextRetryAt),
      message.reason ?? '',
    ]),
  )
}

export function showView(message: StoredMessage): string {
  const colour = isDelivered(message.status) ? 'green' : isFailure(message.status) ? 'red' : 'yellow'
  const facts: [string, string | null][] = [
    ['Message', `${message.id}`],
    ['Status', styled(colour, message.status)],
    ['Reason', message.reason],
    ['To', message.to],
    ['User', `${message.userId}`],
    ['Text', message.body],
    ['Created', time(message.createdAt)],
    ['Deadline', time(message.deadline)],
    ['Next retry', time(message.nextRetryAt)],
    ['Retries', `${message.retryCount} of at most ${message.maxRetries}`],
    ['Last request', message.processingTimeMs === null ? null : `${message.processingTimeMs} ms`],
  ]
  const lines = facts.filter(([, value]) => value).map(([name, value]) => `${name.padEnd(13)}${value}`)
  return [...lines, '', ...message.attempts.map(attemptView)].join('\n')
}

function attemptView(attempt: StoredMessage['attempts'][number]): string {
  const { number, sid, status, errorCode, errorText } = attempt
  const failure = errorCode === null ? (errorText ?? '') : `${errorCode}: ${reasonOf(errorCode)}`
  const head = [`Attempt ${number}: ${status}`, sid, failure].filter(Boolean).join('  ')
  const times = Object.entries(attempt.times).sort(([, one], [, other]) => one.localeCompare(other))
  return [head, ...times.map(([word, at]) => `  ${at.replace('T', ' ')}  ${word}`)].join('\n')
}

/** Stable: keys are added, never renamed. Times are ISO 8601 in UTC. */
export function messageJson(message: StoredMessage): object {
  const { id, userId, to, body, status, success, retryCount, maxRetries, nextRetryAt, sid } = message
  const { deadline, reason, processingTimeMs, createdAt, attempts } = message
  return {
    ...{ id, userId, to, body, status, success, reason, retryCount, maxRetries, nextRetryAt, sid },
    ...{ deadline, processingTimeMs, createdAt, attempts },
  }
}

export function plannedView(planned: readonly PlannedLook[]): string {
  return table(
    ['MESSAGE', 'ATTEMPT', 'STATUS', 'WOULD'],
    planned.map(({ messageId, attempt, status, plan }) => [`${messageId}`, `${attempt}`, status, plan]),
  )
}

export function reconciledView(sum: Reconciled): string {
  return [
    `Looked at ${sum.looked} overdue ${sum.looked === 1 ? 'message' : 'messages'}.`,
    `  ${sum.rungAgain} due, without a job: alarm set again`,
    `  ${sum.asked} asked for at Twilio: ${sum.answered} answered, ${sum.absent} not there and made again, ` +
      `${sum.undecided} undecided, ${sum.failed} failed`,
    ...(sum.leftOut === 0
      ? []
      : [`  ${sum.leftOut} left out: locked by somebody, or refused by the database`]),
  ].join('\n')
}

export function policyView(policy: RetryPolicy): string {
  const rows = entriesOf(policy).map(({ code, rule, reason }) => [
    code === null ? 'other' : `${code}`,
    rule.action === 'stop' ? 'stop' : `${rule.retries}`,
    rule.action === 'stop' ? '' : scheduleOf(policy, rule).map(duration).join(', '),
    reason,
  ])
  const jitter = `Up to ${Math.round(policy.jitter * 100)} % is added to each delay at random; no delay is longer than ${duration(policy.maxDelaySeconds * policy.delayScale)}.`
  return `${table(['CODE', 'RETRIES', 'DELAYS', 'REASON'], rows)}\n\n${jitter}`
}

export function policyJson(policy: RetryPolicy): object {
  return {
    jitter: policy.jitter,
    maxDelaySeconds: policy.maxDelaySeconds,
    delayScale: policy.delayScale,
    codes: entriesOf(policy).map(({ code, rule, reason }) => ({
      code,
      ...rule,
      delaysSeconds: scheduleOf(policy, rule),
      reason,
    })),
  }
}

interface PolicyEntry {
  /** Null stands for every code that has no entry. */
  readonly code: number | null
  readonly rule: Rule
  readonly reason: string
}

function entriesOf(policy: RetryPolicy): PolicyEntry[] {
  const codes = [...policy.rules].sort(([one], [other]) => one - other)
  return [
    ...codes.map(([code, rule]) => ({ code, rule, reason: reasonOf(code) })),
    { code: null, rule: policy.unknownCode, reason: 'Every other code, and failures without a code' },
  ]
}

/** `90 s`, `4 min`, `6 h`: the largest unit that keeps it exact to two digits after the point. */
function duration(seconds: number): string {
  if (seconds >= 3600) return `${round(seconds / 3600)} h`
  if (seconds >= 120) return `${round(seconds / 60)} min`
  return `${round(seconds)} s`
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function time(at: Date | null): string {
  return at === null ? '' : at.toISOString().slice(0, 19).replace('T', ' ')
}
