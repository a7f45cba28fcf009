// Maps a row of `sms_usage_logs` to a `Message` and back. Defines the columns that are read, and our keys of
// `sms_metadata`.
import { reasonOf } from '../delivery/error-codes.ts'
import { MESSAGE_KEY } from '../delivery/message-proof.ts'
import type { Attempt, Message, ReconcileAt } from '../delivery/message.ts'
import {
  type AttemptStatus,
  type DeliveryStatus,
  isAttemptStatus,
  isDeliveryStatus,
  isFailedAttempt,
} from '../delivery/status.ts'
import { formatSendWindow, readSendWindow } from '../delivery/send-window.ts'
import { isTimeZone } from '../delivery/time-on-clock.ts'
import { MAX_ATTEMPTS, MAX_POSTPONEMENTS } from '../delivery/transitions.ts'
import { castToColumnType } from './times.ts'

/** Keys of `sms_metadata` that belong to sms-retry. All others belong to the app and are preserved. */
export const OWN_METADATA_KEYS = [
  'retry_reason',
  'retry_error',
  'retry_strategy',
  'idempotency_key',
  'deadline',
  'send_after',
  'send_window',
  'time_zone',
  'attempts',
  'reconcile_at',
  'callback_key',
  'sms_retry_traceparent',
] as const

/** If the app stored a value other than an object, it is kept under `app_metadata`. */
export const OBJECT_METADATA = `
  case when sms_metadata is null then '{}'::jsonb
       when jsonb_typeof(sms_metadata) = 'object' then sms_metadata
       else jsonb_build_object('app_metadata', sms_metadata) end`

/** The span that sent the message. Tracing needs it, and no decision does, so it is no part of a `Message`. */
export const TRACEPARENT_COLUMN = `sms_metadata ->> 'sms_retry_traceparent' as "traceparent"`

/** The app's own keys of `sms_metadata`. */
export const APP_METADATA = `${OBJECT_METADATA} - '{${OWN_METADATA_KEYS.join(',')}}'::text[]`

/** Excludes the app's own rows: inbound messages, and rows without a status and a sid. */
export const IS_OURS = `message_direction <> 'inbound' and (final_status <> 'unknown' or twilio_message_sid is not null)`

/**
 * True for a message that is not final. Must match the condition of the indexes word for word, or they are not used.
 */
export const IS_IN_FLIGHT = `final_status in ('pending', 'submitting', 'retrying', 'accepted', 'scheduled', 'queued', 'sending', 'sent')`

/** The statuses as SQL texts, for `in (...)`. */
export const listOf = (statuses: readonly DeliveryStatus[]): string =>
  statuses.map((status) => `'${status}'`).join(', ')

export const MESSAGE_COLUMNS = `
  id, sms_metadata ->> 'callback_key' as "key", phone_number as "to", message_content as "body", coalesce(final_status, 'unknown') as "status",
  coalesce(success, true) as "success", coalesce(retry_count, 0) as "retryCount",
  coalesce(max_retries, 3) as "maxRetries", next_retry_at as "nextRetryAt", twilio_message_sid as "sid",
  sms_metadata ->> 'deadline' as "deadline", sms_metadata ->> 'send_after' as "sendAfter",
  sms_metadata ->> 'send_window' as "sendWindow", sms_metadata ->> 'time_zone' as "timeZone",
  sms_metadata -> 'attempts' as "attempts",
  error_message as "reason", processing_time_ms as "processingTimeMs",
  coalesce(created_at, ${castToColumnType('created_at', 'now()')}) as "createdAt", sms_metadata ->> 'reconcile_at' as "reconcileAt"`

/**
 * An integer that was read through the app's own connection. The app's driver or ORM decides which type a `bigint` has.
 */
export type Integer = number | string | bigint

export interface MessageRow {
  readonly id: Integer
  readonly key: string | null
  readonly to: string
  readonly body: string | null
  readonly status: string
  readonly success: boolean
  readonly retryCount: Integer
  readonly maxRetries: number
  readonly nextRetryAt: Date | number | null
  readonly sid: string | null
  readonly deadline: string | null
  readonly sendAfter: string | null
  readonly sendWindow: string | null
  readonly timeZone: string | null
  readonly attempts: unknown
  readonly reason: string | null
  readonly processingTimeMs: number | null
  readonly createdAt: Date | number
  readonly reconcileAt: string | null
}

export function toMessage(row: MessageRow): Message {
  const status = isDeliveryStatus(row.status) ? row.status : 'unknown'
  return {
    id: Number(row.id),
    key: row.key !== null && MESSAGE_KEY.test(row.key) ? row.key : null,
    to: row.to,
    body: row.body,
    status,
    success: row.success,
    // The app may have written a number that no attempt can have.
    retryCount: Math.min(Math.max(Number(row.retryCount), 0), MAX_ATTEMPTS),
    maxRetries: row.maxRetries,
    nextRetryAt: row.nextRetryAt === Number.POSITIVE_INFINITY ? SET_ASIDE : finite(row.nextRetryAt),
    sid: row.sid,
    deadline: toTime(row.deadline),
    sendAfter: toTime(row.sendAfter),
    sendWindow: toSendWindow(row.sendWindow),
    timeZone: row.timeZone !== null && isTimeZone(row.timeZone) ? row.timeZone : null,
    attempts: toAttempts(row.attempts),
    reason: row.reason,
    processingTimeMs: row.processingTimeMs,
    createdAt: finite(row.createdAt) ?? new Date(0),
    reconcileAt: toReconcileAt(row.reconcileAt, status),
  }
}

/**
 * The time of an attempt set aside. `next_retry_at` is `infinity` in the row; `reconcile_at` holds this time if the row
 * waited for days.
 */
const SET_ASIDE = new Date('9999-12-31T00:00:00.000Z')

/** `reconcile_at` of a message that is never reconciled again. Like SET_ASIDE, it sorts after all times of the index. */
const NEVER = 'infinity'

/**
 * An older version wrote the time of SET_ASIDE for both meanings; then the status decides
 * (docs/decisions/reconcile-never.md).
 */
function toReconcileAt(text: string | null, status: DeliveryStatus): ReconcileAt | null {
  if (text === NEVER) return 'never'
  const time = toTime(text)
  if (time?.getTime() !== SET_ASIDE.getTime()) return time
  return status === 'pending' || status === 'retrying' ? 'set_aside' : 'never'
}

function fromReconcileAt(at: ReconcileAt): Date | string {
  if (at === 'never') return NEVER
  return at === 'set_aside' ? SET_ASIDE : at
}

/** Null for the infinities of PostgreSQL, which pg returns as numbers. */
export function finite(time: Date | number | null): Date | null {
  return time instanceof Date && !Number.isNaN(time.getTime()) ? time : null
}

export function toTime(text: string | null): Date | null {
  return text !== null && isTime(text) ? new Date(text) : null
}

/** `08:00-21:00` or `any`. */
export function toSendWindow(text: string | null): Message['sendWindow'] {
  if (text === null || text === 'any') return text
  const read = readSendWindow(text)
  return 'window' in read ? read.window : null
}

export function fromSendWindow(window: Message['sendWindow']): string | null {
  return window === null || window === 'any' ? window : formatSendWindow(window)
}

/** Only years with four digits are accepted: adding to a later time overflows. */
function isTime(text: string): boolean {
  return /^\d{4}-/.test(text) && !Number.isNaN(Date.parse(text))
}

/** An attempt as stored in `sms_metadata`. Absent keys are null. */
interface AttemptEntry {
  readonly number: number
  readonly status: AttemptStatus
  readonly sid?: string | null
  readonly error_code?: number | null
  readonly error_text?: string | null
  readonly postponements?: number | null
  readonly excused?: boolean | null
  readonly account?: string | null
  readonly sender?: string | null
  readonly segments?: number | null
  readonly price?: number | null
  readonly price_unit?: string | null
  readonly times?: Readonly<Record<string, string>> | null
}

/** Skips an entry that is not in our form, because the app can write to the metadata as well. */
export function toAttempts(entries: unknown): Attempt[] {
  if (!Array.isArray(entries)) return []
  return entries.filter(isAttemptEntry).map((entry) => ({
    number: entry.number,
    status: entry.status,
    sid: entry.sid ?? null,
    errorCode: entry.error_code ?? null,
    errorText: entry.error_text ?? null,
    postponements: entry.postponements ?? 0,
    excused: entry.excused ?? false,
    account: entry.account ?? null,
    sender: entry.sender ?? null,
    segments: entry.segments ?? null,
    price: priceOf(entry),
    times: timesOf(entry.times ?? {}),
  }))
}

/** Written by hand: a zod schema would cost more than the rest of a status callback's decision. */
function isAttemptEntry(value: unknown): value is AttemptEntry {
  if (value === null || typeof value !== 'object') return false
  const entry = value as Record<keyof AttemptEntry, unknown>
  return (
    isIntegerUpTo(entry.number, MAX_ATTEMPTS) &&
    typeof entry.status === 'string' &&
    isAttemptStatus(entry.status) &&
    (entry.sid == null || typeof entry.sid === 'string') &&
    (entry.error_code == null || Number.isSafeInteger(entry.error_code)) &&
    (entry.error_text == null || typeof entry.error_text === 'string') &&
    (entry.postponements == null || isIntegerUpTo(entry.postponements, MAX_POSTPONEMENTS)) &&
    (entry.excused == null || typeof entry.excused === 'boolean') &&
    (entry.account == null || typeof entry.account === 'string') &&
    (entry.sender == null || typeof entry.sender === 'string') &&
    (entry.segments == null || Number.isSafeInteger(entry.segments)) &&
    (entry.price == null || Number.isFinite(entry.price)) &&
    (entry.price_unit == null || typeof entry.price_unit === 'string') &&
    (entry.times == null || isRecordOfTexts(entry.times))
  )
}

function priceOf({ price, price_unit: unit }: AttemptEntry): Attempt['price'] {
  return price == null || unit == null ? null : { amount: price, unit }
}

function isIntegerUpTo(value: unknown, max: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max
}

function isRecordOfTexts(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((text) => typeof text === 'string')
}

function timesOf(texts: Readonly<Record<string, string>>): Attempt['times'] {
  const times: Record<string, string> = {}
  for (const [status, at] of Object.entries(texts)) if (isTime(at)) times[status] = at
  return times
}

/** The changed columns in the form that updateMessages needs. Null values are left out, to send and parse less. */
export function toChange(message: Message): object {
  const failed = message.attempts.findLast(({ status }) => isFailedAttempt(status))
  const isSetAside = message.nextRetryAt?.getTime() === SET_ASIDE.getTime()
  return {
    id: message.id,
    status: message.status,
    success: message.success,
    retry_count: message.retryCount,
    max_retries: message.maxRetries,
    next_retry_at: isSetAside ? 'infinity' : orAbsent(message.nextRetryAt),
    sid: orAbsent(message.sid),
    reason: orAbsent(message.reason),
    processing_time_ms: orAbsent(message.processingTimeMs),
    metadata: {
      retry_reason: orAbsent(failed?.errorCode),
      retry_error: failed && (failed.errorText ?? reasonOf(failed.errorCode)),
      retry_strategy: message.retryCount > 0 ? 'exponential_backoff' : undefined,
      reconcile_at: message.reconcileAt === null ? undefined : fromReconcileAt(message.reconcileAt),
      attempts: message.attempts.map(toEntry),
    },
  }
}

function toEntry(attempt: Attempt): object {
  return {
    number: attempt.number,
    status: attempt.status,
    sid: orAbsent(attempt.sid),
    error_code: orAbsent(attempt.errorCode),
    error_text: orAbsent(attempt.errorText),
    postponements: attempt.postponements || undefined,
    excused: attempt.excused || undefined,
    account: orAbsent(attempt.account),
    sender: orAbsent(attempt.sender),
    segments: orAbsent(attempt.segments),
    price: attempt.price?.amount,
    price_unit: attempt.price?.unit,
    times: attempt.times,
  }
}

/** JSON.stringify leaves out undefined values. */
function orAbsent<T>(value: T | null | undefined): T | undefined {
  return value ?? undefined
}
