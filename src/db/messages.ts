// Every statement on `sms_usage_logs` that reads or changes single messages, each beside its parameters. What the
// columns mean is in message-row.ts.
import type { Identity, Message } from '../delivery/message.ts'
import type { DeliveryStatus } from '../delivery/status.ts'
import { DatabaseError } from '../shared/errors.ts'
import {
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
 * The messages with these ids or sids, locked until the transaction ends. Locks are taken in the order of the
 * ids, so that two batches with the same messages wait for each other instead of deadlocking.
 *
 * @param lockedRows whether to wait for messages that somebody else has locked, or to leave them out
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

/** As PostgreSQL reads it. pg, which cannot know that they are numbers, would escape each. */
const arrayOf = (ids: readonly number[]): string => `{${ids.join(',')}}`

const lockWhere = (condition: string, suffix: string): string =>
  `select ${MESSAGE_COLUMNS}, clock_timestamp() as "now"
     from sms_usage_logs
    where ${condition} and ${IS_OURS}
    order by id
      for no key update ${suffix}`

const eitherWay = (condition: string): { readonly wait: string; readonly skip: string } => ({
  wait: lockWhere(condition, ''),
  skip: lockWhere(condition, 'skip locked'),
})

/**
 * Whether something is in an array whose length the planner is not to know. Of a plain `any($1)` it knows it, finds a plan
 * of its own cheaper for a short list, and so plans the prepared statement anew for each one: a quarter of what such a
 * list costs the server.
 */
const isIn = (array: string, type: string): string => `= any((select ${array})::${type}[])`

// Put together once, as UPDATE below is: a text that is made anew each time is copied and hashed each time that its
// prepared statement is looked up.
const LOCK_BY_ID = eitherWay(`id ${isIn('$1::bigint[]', 'bigint')}`)
const IDS_OF_SIDS = `array(select id from sms_usage_logs where twilio_message_sid ${isIn('$2::text[]', 'text')})`
const LOCK_BY_ID_OR_SID = eitherWay(`id ${isIn(`$1::bigint[] || ${IDS_OF_SIDS}`, 'bigint')}`)

/**
 * Writes what was decided of locked messages, with the commit. `sms_metadata` keeps the keys that are not ours; a retry
 * that a person has asked for beyond the limit raises it.
 *
 * @param onWritten gets the ids of the rows that are now as decided. A trigger, a rule or row-level security can keep a
 *   change out without an error
 */
export function updateMessages(
  tx: Transaction,
  messages: readonly Message[],
  onWritten: (ids: readonly number[]) => void,
): void {
  const values = [JSON.stringify(messages.map(toChange)), arrayOf(messages.map(({ id }) => id))]
  tx.executeAtCommit<{ id: Integer }>(UPDATE, values, (rows) => onWritten(rows.map(({ id }) => Number(id))))
}

/** An app may keep something else than an object there; it is kept under a key of its own. */
const OBJECT_METADATA = `
  case when sms_metadata is null then '{}'::jsonb
       when jsonb_typeof(sms_metadata) = 'object' then sms_metadata
       else jsonb_build_object('app_metadata', sms_metadata) end`

/** By the ids as well: of the changes alone the planner expects a hundred, and would read all of a small table's index. */
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
  readonly status: 'pending' | 'submitting'
  readonly maxRetries: number
  readonly validForSeconds: number | null
  readonly idempotencyKey: string | null
  readonly metadata: Readonly<Record<string, unknown>>
  /** When it is looked at if nothing happens until then. */
  readonly reconcileAfterSeconds: number
  /** Of the claim; null for a message that waits. */
  readonly identity: Identity | null
}

/**
 * Inserts a message with its first attempt.
 *
 * @returns its id, and the time of its insertion; null if its idempotency key exists already. Waits for
 *   a transaction that has inserted the same key and has not ended yet.
 * @throws DatabaseError if the row is not in the table although nothing was in its way: roll back then
 */
export async function insertMessage(
  db: Db,
  message: NewMessage,
): Promise<{ readonly id: number; readonly insertedAt: Date } | null> {
  // No operator with a question mark, no list: the statement also runs through the adapters of ORMs.
  const { rows } = await db.executeSql<{ id: Integer; insertedAt: string; isAsWritten: Integer | null }>(
    `insert into sms_usage_logs (
        user_id, phone_number, message_direction, message_length, message_content, success, created_at,
        retry_count, max_retries, final_status, sms_metadata)
     select $1::integer, $2::text, 'outbound', $3::integer, $4::text, true, ${castToColumnType('created_at', 'now()')},
            0, $5::integer, $6::text,
            $7::jsonb || jsonb_strip_nulls(jsonb_build_object(
              'idempotency_key', $8::text,
              'callback_key', $11::text,
              'deadline', ${iso('now() + make_interval(secs => $9::double precision)')},
              'reconcile_at', ${iso('now() + make_interval(secs => $10::double precision)')},
              'attempts', jsonb_build_array(jsonb_build_object(
                'number', 0, 'status', $6::text, 'account', $12::text, 'sender', $13::text, 'times', jsonb_build_object($6::text, ${iso('now()')})))))
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
    ],
  )
  const [row] = rows
  if (row === undefined && message.idempotencyKey === null)
    throw new DatabaseError(KEPT_BACK, { scope: 'refused_row' })
  if (row !== undefined && Number(row.isAsWritten) !== 1)
    throw new DatabaseError(CHANGED, { scope: 'refused_row' })
  if (row !== undefined && !Number.isSafeInteger(Number(row.id)))
    throw new DatabaseError(TOO_LARGE_ID, { scope: 'refused_row' })
  return row === undefined ? null : { id: Number(row.id), insertedAt: new Date(row.insertedAt) }
}

/** Its transaction must not be committed: a copy that the trigger has put elsewhere would be sent. */
const KEPT_BACK = 'A trigger keeps new rows out of sms_usage_logs'
const CHANGED =
  'A trigger changes final_status or sms_metadata of new rows of sms_usage_logs, which belong to sms-retry'

/**
 * Whether this message was inserted. By its id, for the index, and by its key, since an id comes again. Its status says
 * nothing: a worker may have gone on with the message before it is asked for.
 */
export async function isInserted(db: Db, id: number, key: string): Promise<boolean> {
  const { rows } = await db.executeSql(
    `select 1 from sms_usage_logs where id = $1::bigint and sms_metadata ->> 'callback_key' = $2::text`,
    [id, key],
  )
  return rows.length > 0
}

const TOO_LARGE_ID = 'The id that sms_usage_logs gives to a new row is above 2^53 - 1. Run: sms-retry doctor'

/** Of these attempts, the ones that still wait, each once: by the message's id, and the number of the attempt. */
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
  const still = due.filter(({ message, attempt }) => waiting.get(message) === attempt)
  return [...new Map(still.map((each) => [each.message, each])).values()]
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

/** Plain equality, so that the index over messages in flight can serve. */
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
