// The statements that read or change messages, each beside its parameters. message-row.ts explains the columns;
// insert-messages.ts has the statement for new ones.
import type { Message } from '../delivery/message.ts'
import type { DeliveryStatus } from '../delivery/status.ts'
import {
  APP_METADATA,
  type Integer,
  IS_OURS,
  MESSAGE_COLUMNS,
  type MessageRow,
  OBJECT_METADATA,
  toChange,
  toMessage,
  TRACEPARENT_COLUMN,
} from './message-row.ts'
import { readTime } from '../postgres/column-types.ts'
import type { Db, Transaction } from '../postgres/pool.ts'
import { castToColumnType } from './times.ts'

export interface LockedMessage {
  readonly message: Message
  /** The span that sent it, as a W3C `traceparent`. The app may have changed it. */
  readonly traceparent: string | null
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
  const { rows } = await tx.executeSql<LockedRow>(
    (sids.length === 0 ? LOCK_BY_ID : LOCK_BY_ID_OR_SID)[lockedRows],
    sids.length === 0 ? [arrayOf(ids)] : [arrayOf(ids), sids],
  )
  return rows.map((row) => ({ message: toMessage(row), traceparent: row.traceparent, now: row.now }))
}

/** An array literal of PostgreSQL. pg would convert each number to text and escape it. */
const arrayOf = (ids: readonly number[]): string => `{${ids.join(',')}}`

type LockedRow = MessageRow & Pick<LockedMessage, 'traceparent' | 'now'>

const lockWhere = (condition: string, suffix: string): string =>
  `select ${MESSAGE_COLUMNS}, ${TRACEPARENT_COLUMN}, clock_timestamp() as "now"
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
 * Locks one message in a transaction of the app. The row is read as JSON: the app's driver or ORM decides how it reads
 * times and JSON, and a row that is read wrongly would be written back wrongly.
 *
 * @returns null if there is no such message
 */
export async function lockMessageOfCaller(db: Db, id: number): Promise<LockedMessage | null> {
  const { rows } = await db.executeSql<{ row: string }>(LOCK_AS_JSON, [id])
  const [found] = rows
  if (found === undefined) return null
  const row: LockedRowInJson = JSON.parse(found.row)
  const nextRetryAt = row.nextRetryAt === null ? null : readTime(row.nextRetryAt)
  const message = toMessage({ ...row, nextRetryAt, createdAt: readTime(row.createdAt) })
  return { message, traceparent: row.traceparent, now: new Date(row.now) }
}

const LOCK_AS_JSON = `select to_json(m)::text as "row" from (${lockWhere('id = $1::bigint', '')}) as m`

type LockedRowInJson = Omit<LockedRow, 'nextRetryAt' | 'createdAt' | 'now'> & {
  readonly nextRetryAt: string | null
  readonly createdAt: string
  readonly now: string
}

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
  tx.executeAtCommit<{ id: Integer }>(UPDATE, valuesOf(messages), (rows) => onWritten(idsOf(rows)))
}

/** Like `updateMessages`, but now: what follows in the transaction depends on the rows that were written. */
export async function updateMessagesNow(tx: Db, messages: readonly Message[]): Promise<number[]> {
  const { rows } = await tx.executeSql<{ id: Integer }>(UPDATE, valuesOf(messages))
  return idsOf(rows)
}

const valuesOf = (messages: readonly Message[]): unknown[] => [
  JSON.stringify(messages.map(toChange)),
  arrayOf(messages.map(({ id }) => id)),
]

/** The discarded rows are null. */
const idsOf = (rows: readonly { readonly id: Integer | null }[]): number[] =>
  rows.flatMap(({ id }) => (id === null ? [] : [Number(id)]))

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

/** A message with the columns and metadata that decisions do not need. */
export interface StoredMessage extends Message {
  /**
   * The user of the app, as the column `user_id` has it: a number for `integer`; a number for `bigint`, or its digits
   * above 2^53 - 1; otherwise a text. Null if the message has none.
   */
  readonly userId: number | string | null
  readonly idempotencyKey: string | null
  /** The app's own keys of `sms_metadata`. */
  readonly metadata: Readonly<Record<string, unknown>>
}

export const STORED_COLUMNS = `${MESSAGE_COLUMNS}, user_id as "userId", sms_metadata ->> 'idempotency_key' as "idempotencyKey",
  ${APP_METADATA} as "metadata"`

export type StoredRow = MessageRow & Pick<StoredMessage, 'userId' | 'idempotencyKey' | 'metadata'>

const HAS_KEY = `sms_metadata ->> 'idempotency_key' = $1::text`

export async function findByIdempotencyKey(db: Db, key: string): Promise<StoredMessage | null> {
  const { rows } = await db.executeSql<StoredRow>(
    `select ${STORED_COLUMNS} from sms_usage_logs where ${HAS_KEY}`,
    [key],
  )
  return rows[0] === undefined ? null : toStoredMessage(rows[0])
}

export async function findIdByIdempotencyKey(db: Db, key: string): Promise<number | null> {
  const { rows } = await db.executeSql<{ id: Integer }>(`select id from sms_usage_logs where ${HAS_KEY}`, [
    key,
  ])
  return rows[0] === undefined ? null : Number(rows[0].id)
}

/** The part of a message that a repeated idempotency key is compared with. Its types do not depend on the driver. */
export interface KeyedMessage {
  readonly id: number
  readonly idempotencyKey: string
  readonly to: string
  readonly body: string | null
  readonly userId: string | null
}

/** The messages with these idempotency keys. */
export async function findKeyedMessages(db: Db, keys: readonly string[]): Promise<KeyedMessage[]> {
  if (keys.length === 0) return []
  const { rows } = await db.executeSql<Omit<KeyedMessage, 'id'> & { readonly id: Integer }>(
    `select id, sms_metadata ->> 'idempotency_key' as "idempotencyKey", phone_number as "to",
            message_content as "body", user_id::text as "userId"
       from sms_usage_logs
      where sms_metadata ->> 'idempotency_key' = any(array(select jsonb_array_elements_text($1::jsonb)))`,
    [JSON.stringify(keys)],
  )
  return rows.map((row) => ({ ...row, id: Number(row.id) }))
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
  const { userId, idempotencyKey, metadata } = row
  return { ...toMessage(row), userId, idempotencyKey, metadata }
}
