// The statements that read or change single messages, each beside its parameters. message-row.ts explains the columns.
import type { Identity, Message } from '../delivery/message.ts'
import { type DeliveryStatus, isFailure } from '../delivery/status.ts'
import { DatabaseError } from '../shared/errors.ts'
import {
  fromSendWindow,
  type Integer,
  IS_OURS,
  MESSAGE_COLUMNS,
  type MessageRow,
  toChange,
  toMessage,
} from './message-row.ts'
import type { Db, Transaction } from '../postgres/pool.ts'
import { castToColumnType, iso } from './times.ts'

export interface LockedMessage {
  readonly message: Message
  /** The database's clock when the row was read. */
  readonly now: Date
}

/**
 * The messages with these ids or sids, locked until the transaction ends. The locks are taken in the order of the ids, so
 * two batches with the same messages cannot deadlock.
 *
 * @param lockedRows whether to wait for rows that another transaction has locked, or to leave them out
 */
export async function lockMessages(
  tx: Db,
  ids: readonly number[],
  sids: readonly string[],
  lockedRows: 'wait' | 'skip' = 'wait',
): Promise<LockedMessage[]> {
  const { rows } = await tx.executeSql<MessageRow & { now: Date }>(
    (sids.length === 0 ? LOCK_BY_ID : LOCK_BY_ID_OR_SID)[lockedRows],
    sids.length === 0 ? [arrayOf(ids)] : [arrayOf(ids), sids],
  )
  return rows.map((row) => ({ message: toMessage(row), now: row.now }))
}

/** An array literal of PostgreSQL. pg would convert each number to text and escape it. */
const arrayOf = (ids: readonly number[]): string => `{${ids.join(',')}}`

const lockWhere = (condition: string, suffix: string): string =>
  `select ${MESSAGE_COLUMNS}, clock_timestamp() as "now"
     from sms_usage_logs
    where ${condition} and ${IS_OURS}
    order by id
      for no key update ${suffix}`

const lockStatements = (condition: string): { readonly wait: string; readonly skip: string } => ({
  wait: lockWhere(condition, ''),
  skip: lockWhere(condition, 'skip locked'),
})

/**
 * A comparison with an array whose length is hidden from the planner. With a plain `any($1)`, the planner sees the
 * length, prefers a custom plan for a short array, and plans the prepared statement at each use. That was a quarter of
 * the server's work.
 */
const isIn = (array: string, type: string): string => `= any((select ${array})::${type}[])`

// Built once, like UPDATE below: a new string would be hashed at each use to find its prepared statement.
const LOCK_BY_ID = lockStatements(`id ${isIn('$1::bigint[]', 'bigint')}`)
const IDS_OF_SIDS = `array(select id from sms_usage_logs where twilio_message_sid ${isIn('$2::text[]', 'text')})`
const LOCK_BY_ID_OR_SID = lockStatements(`id ${isIn(`$1::bigint[] || ${IDS_OF_SIDS}`, 'bigint')}`)

/**
 * Writes the locked messages together with the commit. `sms_metadata` keeps the keys that are not ours. `max_retries`
 * is only raised, by a manual retry beyond the limit.
 *
 * @param onWritten receives the ids of the rows that were written. A trigger, a rule or row-level security can discard
 *   a change without an error
 */
export function updateMessages(
  tx: Transaction,
  messages: readonly Message[],
  onWritten: (ids: readonly number[]) => void,
): void {
  const values = [JSON.stringify(messages.map(toChange)), arrayOf(messages.map(({ id }) => id))]
  tx.executeAtCommit<{ id: Integer }>(UPDATE, values, (rows) => onWritten(rows.map(({ id }) => Number(id))))
}

/** If the app stored a value other than an object, it is kept under `app_metadata`. */
const OBJECT_METADATA = `
  case when sms_metadata is null then '{}'::jsonb
       when jsonb_typeof(sms_metadata) = 'object' then sms_metadata
       else jsonb_build_object('app_metadata', sms_metadata) end`

/**
 * The condition on `id` is redundant but faster: the planner expects 100 changes from the JSON, and would scan the
 * whole index of a small table.
 */
const UPDATE = `update sms_usage_logs as m
      set final_status = c.status,
          success = c.success,
          retry_count = c.retry_count,
          max_retries = case when c.max_retries > coalesce(m.max_retries, 3) then c.max_retries else m.max_retries end,
          next_retry_at = case c.next_retry_at when 'infinity' then 'infinity'
                               else ${castToColumnType('next_retry_at', 'c.next_retry_at')} end,
          twilio_message_sid = c.sid,
          error_message = c.reason,
          processing_time_ms = c.processing_time_ms,
          sms_metadata = (${OBJECT_METADATA} - '{retry_reason,retry_error,retry_strategy,reconcile_at}'::text[])
                         || c.metadata
     from jsonb_to_recordset($1::jsonb) as c (
            id bigint, status text, success boolean, retry_count integer, max_retries integer, next_retry_at timestamptz, sid text,
            reason text, processing_time_ms integer, metadata jsonb)
    where m.id = c.id and m.id ${isIn('$2::bigint[]', 'bigint')}
returning case when m.final_status = c.status and m.retry_count = c.retry_count
                and m.sms_metadata -> 'attempts' = c.metadata -> 'attempts' then m.id end as "id"`

export interface NewMessage {
  /** See `Message`. */
  readonly key: string
  readonly userId: number
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
}

/** The time that `insertMessage` records as the message's creation. */
export async function readTransactionTime(tx: Db): Promise<Date> {
  // As text: the app's own driver decides which type a `timestamptz` has.
  const { rows } = await tx.executeSql<{ now: string }>(`select ${iso('now()')} as "now"`)
  const [row] = rows
  if (row === undefined) throw new DatabaseError('The database returned no row for its clock')
  return new Date(row.now)
}

/**
 * Inserts a message with its first attempt. Waits for an open transaction that has inserted the same idempotency key.
 *
 * @returns its id and the time of its insertion; null if its idempotency key already exists
 * @throws DatabaseError if a trigger discarded or changed the row: the caller must roll back
 */
export async function insertMessage(
  db: Db,
  message: NewMessage,
): Promise<{ readonly id: number; readonly insertedAt: Date } | null> {
  // The adapters of ORMs support neither operators with a question mark nor array parameters.
  const { rows } = await db.executeSql<{ id: Integer; insertedAt: string; isAsWritten: Integer | null }>(
    `insert into sms_usage_logs (
        user_id, phone_number, message_direction, message_length, message_content, success, created_at,
        retry_count, max_retries, final_status, error_message, next_retry_at, sms_metadata)
     select $1::integer, $2::text, 'outbound', $3::integer, $4::text, $14::boolean, ${castToColumnType('created_at', 'now()')},
            0, $5::integer, $6::text, $15::text, ${castToColumnType('next_retry_at', '$16::timestamptz')},
            $7::jsonb || jsonb_strip_nulls(jsonb_build_object(
              'idempotency_key', $8::text,
              'callback_key', $11::text,
              'deadline', ${iso('now() + make_interval(secs => $9::double precision)')},
              'send_after', $17::text,
              'send_window', $18::text,
              'time_zone', $19::text,
              'reconcile_at', ${iso('now() + make_interval(secs => $10::double precision)')},
              'attempts', jsonb_build_array(jsonb_build_object(
                'number', 0, 'status', $20::text, 'account', $12::text, 'sender', $13::text, 'times', jsonb_build_object($20::text, ${iso('now()')})))))
     on conflict ((sms_metadata ->> 'idempotency_key')) where sms_metadata ->> 'idempotency_key' is not null
        do nothing
     returning id, ${iso('now()')} as "insertedAt",
               (final_status = $6::text and sms_metadata ->> 'callback_key' = $11::text)::integer as "isAsWritten"`,
    [
      message.userId,
      message.to,
      [...message.body].length,
      message.body,
      message.maxRetries,
      message.status,
      JSON.stringify(message.metadata),
      message.idempotencyKey,
      message.validForSeconds,
      message.reconcileAfterSeconds,
      message.key,
      message.identity?.account ?? null,
      message.identity?.sender ?? null,
      !isFailure(message.status),
      message.reason,
      message.nextRetryAt?.toISOString() ?? null,
      message.sendAfter?.toISOString() ?? null,
      fromSendWindow(message.sendWindow),
      message.timeZone,
      message.status === 'submitting' ? 'submitting' : 'pending',
    ],
  )
  const [row] = rows
  if (row === undefined && message.idempotencyKey === null)
    throw new DatabaseError(DISCARDED, { scope: 'refused_row' })
  if (row !== undefined && Number(row.isAsWritten) !== 1)
    throw new DatabaseError(CHANGED, { scope: 'refused_row' })
  if (row !== undefined && !Number.isSafeInteger(Number(row.id)))
    throw new DatabaseError(TOO_LARGE_ID, { scope: 'refused_row' })
  return row === undefined ? null : { id: Number(row.id), insertedAt: new Date(row.insertedAt) }
}

/**
 * After these errors, the transaction must be rolled back: a trigger may have stored a copy of the row that a worker
 * would send.
 */
const DISCARDED = 'A trigger discards new rows of sms_usage_logs'
const CHANGED =
  'A trigger changes final_status or sms_metadata of new rows of sms_usage_logs, which belong to sms-retry'

/**
 * Whether this message was inserted. The id is compared because it has an index, and the key because ids can repeat.
 * The status is not compared: a worker may have changed it already.
 */
export async function isInserted(db: Db, id: number, key: string): Promise<boolean> {
  const { rows } = await db.executeSql(
    `select 1 from sms_usage_logs where id = $1::bigint and sms_metadata ->> 'callback_key' = $2::text`,
    [id, key],
  )
  return rows.length > 0
}

const TOO_LARGE_ID =
  'The ids of new rows of sms_usage_logs are above 2^53 - 1, which JavaScript cannot represent. Run: sms-retry doctor'

/** The given attempts that still wait, without duplicates. */
export async function findWaiting<Due extends { readonly message: number; readonly attempt: number }>(
  db: Db,
  due: readonly Due[],
): Promise<Due[]> {
  const { rows } = await db.executeSql<{ id: number; attempt: number }>(
    `select id, coalesce(retry_count, 0) as "attempt"
       from sms_usage_logs
      where id = any($1::bigint[]) and final_status in ('pending', 'retrying')`,
    [due.map(({ message }) => message)],
  )
  const waiting = new Map(rows.map(({ id, attempt }) => [id, attempt]))
  const stillWaiting = due.filter(({ message, attempt }) => waiting.get(message) === attempt)
  return [...new Map(stillWaiting.map((each) => [each.message, each])).values()]
}

export interface StoredMessage extends Message {
  readonly userId: number
}

export const STORED_COLUMNS = `${MESSAGE_COLUMNS}, user_id as "userId"`

export type StoredRow = MessageRow & { readonly userId: number }

export async function findByIdempotencyKey(db: Db, key: string): Promise<StoredMessage | null> {
  const { rows } = await db.executeSql<StoredRow>(
    `select ${STORED_COLUMNS} from sms_usage_logs where sms_metadata ->> 'idempotency_key' = $1::text`,
    [key],
  )
  return rows[0] === undefined ? null : toStoredMessage(rows[0])
}

export async function findMessage(db: Db, id: number): Promise<StoredMessage | null> {
  const { rows } = await db.executeSql<StoredRow>(
    `select ${STORED_COLUMNS} from sms_usage_logs where id = $1::bigint and ${IS_OURS}`,
    [id],
  )
  return rows[0] === undefined ? null : toStoredMessage(rows[0])
}

/** For a known status, a plain equality: only then is the index over messages in flight used. */
const IS_STATUS = {
  known: 'final_status = $1::text',
  unknown: "coalesce(final_status, 'unknown') = $1::text",
}

/** The newest messages, optionally of one status. */
export async function listMessages(
  db: Db,
  status: DeliveryStatus | null,
  limit: number,
): Promise<StoredMessage[]> {
  const { rows } = await db.executeSql<StoredRow>(
    `select ${STORED_COLUMNS} from sms_usage_logs
      where ${IS_OURS} and ${status === null ? '$1::text is null' : IS_STATUS[status === 'unknown' ? 'unknown' : 'known']}
      order by id desc
      limit $2::integer`,
    [status, limit],
  )
  return rows.map(toStoredMessage)
}

export function toStoredMessage(row: StoredRow): StoredMessage {
  return { ...toMessage(row), userId: row.userId }
}
