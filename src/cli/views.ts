// What the commands print: tables for people, and JSON whose keys stay.
import type { StoredMessage } from '../db/messages.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import {
  CLOCK_SPREAD_SECONDS,
  formatSchedule,
  type RetryPolicy,
  retryDelaySeconds,
  scheduleOf,
} from '../delivery/retry-policy.ts'
import type { Rule } from '../delivery/retry-rule.ts'
import { type DeliveryStatus, isDelivered, isFailure } from '../delivery/status.ts'
import { maskNumber, maskReason } from '../shared/log.ts'
import type { PlannedCheck, Reconciled } from '../messages/reconcile.ts'
import { printableLine } from '../shared/printable.ts'
import { type Style, styled } from '../shared/output.ts'
import { type Cell, hanging, table } from './table.ts'

export function listView(messages: readonly StoredMessage[], now: Date): string {
  return table(
    ['ID', 'CREATED', 'USER', 'TO', 'STATUS', 'RETRIES', 'NEXT RETRY', 'REASON'],
    messages.map((message) => [
      `${message.id}`,
      time(message.createdAt).slice(0, 'yyyy-mm-dd hh:mm'.length),
      `${message.userId}`,
      maskNumber(message.to),
      statusCell(message.status),
      `${message.retryCount}`,
      message.nextRetryAt === null ? '' : until(message.nextRetryAt, now),
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

/** Short, and exact enough for a person; `show` and JSON have the time. */
function until(at: Date, now: Date): string {
  if (at.getUTCFullYear() >= 9999) return 'on hold'
  const seconds = Math.round((at.getTime() - now.getTime()) / 1000)
  if (seconds <= 0) return 'now'
  if (seconds < 120) return `in ${seconds} s`
  return seconds < 7200 ? `in ${Math.round(seconds / 60)} min` : `in ${Math.round(seconds / 3600)} h`
}

const FACT_WIDTH = 13

/** @param showContent otherwise of number and text only what tells messages apart */
export function showView(message: StoredMessage, showContent: boolean): string {
  const { status, to, body, retryCount, maxRetries, processingTimeMs } = message
  const open = (text: string): string => (showContent ? text : maskReason(text, to))
  const facts: [string, string | null][] = [
    ['Message', `${message.id}`],
    ['Status', status],
    ['Reason', open(message.reason ?? '')],
    ['To', showContent ? to : maskNumber(to)],
    ['User', `${message.userId}`],
    ['Text', showContent || body === null ? body : hiddenText(body)],
    ['Created', time(message.createdAt)],
    ['Deadline', time(message.deadline)],
    ['Next retry', time(message.nextRetryAt)],
    ['Retries', `${retryCount} of at most ${maxRetries}`],
    ['Last request', processingTimeMs === null ? null : `${processingTimeMs} ms`],
  ]
  const lines = facts.flatMap(([name, value]) => {
    if (value === null || value === '') return []
    const shown = hanging(value, FACT_WIDTH)
    return [name.padEnd(FACT_WIDTH) + (name === 'Status' ? styled(styleOf(status), shown) : shown)]
  })
  return [...lines, '', ...message.attempts.map((attempt) => open(attemptView(attempt)))].join('\n')
}

function hiddenText(body: string): string {
  const { length } = [...body]
  return `${length} ${length === 1 ? 'character' : 'characters'} (--show-content shows number and text)`
}

function attemptView(attempt: StoredMessage['attempts'][number]): string {
  const { number, sid, status, errorCode, errorText } = attempt
  const failure = errorCode === null ? errorText : `${errorCode}: ${reasonOf(errorCode)}`
  const head = [`Attempt ${number}: ${status}`, sid, failure].filter(Boolean).join('  ')
  const times = Object.entries(attempt.times).sort(([, one], [, other]) => one.localeCompare(other))
  const lines = [head, ...times.map(([word, at]) => `  ${at.replace('T', ' ')}  ${word}`)]
  return lines.map(printableLine).join('\n')
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

export function plannedView(planned: readonly PlannedCheck[]): string {
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

/** @param now decides when the retries of a rule on the clock would be due */
export function policyView(policy: RetryPolicy, now: Date): string {
  const rows = entriesOf(policy).map(({ code, rule, reason }) => [
    code === null ? 'other' : `${code}`,
    rule.action === 'stop' ? 'stop' : `${rule.retries}`,
    scheduleCell(policy, rule, now),
    reason,
  ])
  const { jitter, maxDelaySeconds, delayScale } = policy
  const notes = [
    `Up to ${Math.round(jitter * 100)} % is added to each delay at random; no back-off is longer than ${duration(maxDelaySeconds * delayScale)}.`,
    `A retry at a time of day starts up to ${duration(CLOCK_SPREAD_SECONDS * jitter * delayScale)} after it.`,
  ]
  return `${table(['CODE', 'RETRIES', 'AFTER', 'REASON'], rows)}\n\n${notes.join('\n')}`
}

function scheduleCell(policy: RetryPolicy, rule: Rule, now: Date): string {
  const words = formatSchedule(policy, rule, duration)
  const at = nextTimeOf(policy, rule, now)
  return at === null ? words : `${words} (next ${time(at).slice(0, 'yyyy-mm-dd hh:mm'.length)} UTC)`
}

/** When a retry would be due if the attempt failed now; null for rules that do not look at the clock. */
function nextTimeOf(policy: RetryPolicy, rule: Rule, now: Date): Date | null {
  if (!('after' in rule)) return null
  return new Date(now.getTime() + retryDelaySeconds(policy, rule, 1, now, 0) * 1000)
}

export function policyJson(policy: RetryPolicy, now: Date): object {
  return {
    jitter: policy.jitter,
    maxDelaySeconds: policy.maxDelaySeconds,
    delayScale: policy.delayScale,
    codes: entriesOf(policy).map(({ code, rule, reason }) => ({
      code,
      ...rule,
      // Null for a rule on the clock: then nextRetryAt says when a retry would be due.
      delaysSeconds: scheduleOf(policy, rule),
      ...('after' in rule ? { nextRetryAt: nextTimeOf(policy, rule, now) } : {}),
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
