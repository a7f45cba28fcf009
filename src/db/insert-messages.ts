// The statement that inserts new messages, and what it can find out about the table: a trigger that changes or discards
// rows, and ids that are too large. message-row.ts explains the columns.
import type { Identity, Message } from '../delivery/message.ts'
import { isFailure } from '../delivery/status.ts'
import { DatabaseError, RefusedRowError } from '../shared/errors.ts'
import { fromSendWindow, type Integer } from './message-row.ts'
import type { Db } from '../postgres/pool.ts'
import { castToColumnType, iso } from './times.ts'
import type { UserIdType } from './user-id-column.ts'

export interface NewMessage {
  /** See `Message`. */
  readonly key: string
  /** The text of a value that the column accepts. */
  readonly userId: string | null
  readonly to: string
  readonly body: string
  /** A message that may never be sent has a final status. */
  readonly status: 'pending' | 'submitting' | 'expired' | 'canceled' | 'failed'
  /** See `Message`. */
  readonly reason: string | null
  /** When a pending message is due; null for now. */
  readonly nextRetryAt: Date | null
  readonly maxRetries: number
  readonly validForSeconds: number | null
  readonly sendAfter: Message['sendAfter']
  readonly sendWindow: Message['sendWindow']
  readonly timeZone: Message['timeZone']
  readonly idempotencyKey: string | null
  readonly metadata: Readonly<Record<string, unknown>>
  /** The seconds until the message is reconciled if no event comes before. Null if it has a final status. */
  readonly reconcileAfterSeconds: number | null
  /** The account and sender of the claim; null for a message that waits. */
  readonly identity: Identity | null
  /** The span that sends it, as a W3C `traceparent`. */
  readonly traceparent: string | null
}

/** The time that `insertMessages` records as the message's creation. */
export async function readTransactionTime(tx: Db): Promise<Date> {
  // As text: the app's own driver decides which type a `timestamptz` has.
  const { rows } = await tx.executeSql<{ now: string }>(`select ${iso('now()')} as "now"`)
  const [row] = rows
  if (row === undefined) throw new DatabaseError('The database returned no row for its clock')
  return new Date(row.now)
}

export interface InsertedMessage {
  readonly id: number
  readonly insertedAt: Date
}

/**
 * Inserts messages with their first attempts, in one statement. Waits for open transactions that have inserted the same
 * idempotency keys.
 *
 * @param userIdType the type of the column `user_id`
 * @returns for each message, its id and the time of its insertion; null if its idempotency key already exists
 * @throws RefusedRowError if a trigger discarded or changed a row: the caller must roll back
 */
export async function insertMessages(
  db: Db,
  messages: readonly NewMessage[],
  userIdType: UserIdType,
): Promise<(InsertedMessage | null)[]> {
  const { rows } = await db.executeSql<InsertedRow>(INSERTS[userIdType], [
    JSON.stringify(messages.map(toRecord)),
  ])
  const byKey = new Map(messages.map((message) => [message.key, message]))
  const inserted = new Map(rows.map((row) => [row.key, row]))
  if (rows.some(({ key, status }) => byKey.get(key)?.status !== status)) throw new RefusedRowError(CHANGED)
  return messages.map(({ key, idempotencyKey }) => {
    const row = inserted.get(key)
    if (row === undefined) {
      if (idempotencyKey === null) throw new RefusedRowError(DISCARDED)
      return null
    }
    const id = Number(row.id)
    if (!Number.isSafeInteger(id)) throw new RefusedRowError(TOO_LARGE_ID)
    return { id, insertedAt: new Date(row.insertedAt) }
  })
}

/**
 * After these errors, the transaction must be rolled back: a trigger may have stored a copy of the row that a worker
 * would send.
 */
const DISCARDED = 'A trigger discards new rows of sms_usage_logs'
const CHANGED =
  'A trigger changes final_status or sms_metadata of new rows of sms_usage_logs, which belong to sms-retry'
const TOO_LARGE_ID =
  'The ids of new rows of sms_usage_logs are above 2^53 - 1, which JavaScript cannot represent. Run: sms-retry doctor'

interface InsertedRow {
  readonly id: Integer
  readonly key: string
  readonly status: string
  readonly insertedAt: string
}

/** A row of the statement's JSON. JSON.stringify leaves out undefined values. */
function toRecord(message: NewMessage): object {
  return {
    key: message.key,
    user_id: message.userId,
    phone_number: message.to,
    length: [...message.body].length,
    body: message.body,
    status: message.status,
    success: !isFailure(message.status),
    reason: message.reason,
    next_retry_at: message.nextRetryAt,
    max_retries: message.maxRetries,
    valid_for: message.validForSeconds,
    reconcile_after: message.reconcileAfterSeconds,
    metadata: {
      ...message.metadata,
      idempotency_key: message.idempotencyKey ?? undefined,
      callback_key: message.key,
      send_after: message.sendAfter ?? undefined,
      send_window: fromSendWindow(message.sendWindow) ?? undefined,
      time_zone: message.timeZone ?? undefined,
      sms_retry_traceparent: message.traceparent ?? undefined,
    },
    attempt: {
      number: 0,
      status: message.status === 'submitting' ? 'submitting' : 'pending',
      account: message.identity?.account,
      sender: message.identity?.sender,
    },
  }
}

/** Computed once for all rows. */
const NOW = `(select ${iso('now()')})`
const CREATED_AT = `(select ${castToColumnType('created_at', 'now()')})`

/** The adapters of ORMs support neither operators with a question mark nor array parameters. */
const insertStatement = (userIdType: string): string => `
  insert into sms_usage_logs (
    user_id, phone_number, message_direction, message_length, message_content, success, created_at,
    retry_count, max_retries, final_status, error_message, next_retry_at, sms_metadata)
  select n.user_id, n.phone_number, 'outbound', n.length, n.body, n.success, ${CREATED_AT},
         0, n.max_retries, n.status, n.reason, ${castToColumnType('next_retry_at', 'n.next_retry_at')},
         n.metadata || jsonb_strip_nulls(jsonb_build_object(
           'deadline', ${iso('now() + make_interval(secs => n.valid_for)')},
           'reconcile_at', ${iso('now() + make_interval(secs => n.reconcile_after)')},
           'attempts', jsonb_build_array(
             n.attempt || jsonb_build_object('times', jsonb_build_object(n.attempt ->> 'status', ${NOW})))))
    from jsonb_to_recordset($1::jsonb) as n (
           key text, user_id ${userIdType}, phone_number text, length integer, body text, status text, success boolean,
           reason text, next_retry_at timestamptz, max_retries integer, valid_for double precision,
           reconcile_after double precision, metadata jsonb, attempt jsonb)
  on conflict ((sms_metadata ->> 'idempotency_key')) where sms_metadata ->> 'idempotency_key' is not null
     do nothing
  returning id, sms_metadata ->> 'callback_key' as "key", final_status as "status", ${NOW} as "insertedAt"`

// Built once: a new string would be hashed at each use to find its prepared statement. An `integer` column takes a
// `bigint` within its range.
const INSERT_WITH_NUMBER = insertStatement('bigint')
const INSERTS: Readonly<Record<UserIdType, string>> = {
  integer: INSERT_WITH_NUMBER,
  bigint: INSERT_WITH_NUMBER,
  uuid: insertStatement('uuid'),
  text: insertStatement('text'),
}
