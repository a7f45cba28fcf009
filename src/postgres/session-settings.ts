// The settings of PostgreSQL that correctness rests on, whatever the owner of server, database or role has set. A
// transaction sets them itself: behind a pooler, a session's settings may be those of another client. The session's
// settings cover single statements.

/** `local` and `remote_write` lose commits together with the primary; `remote_apply` waits for more than we need. */
const synchronousCommit = (isLocal: boolean): string =>
  `set_config('synchronous_commit',
              case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, ${isLocal})`

/**
 * The statements that every transaction begins with, made once for each time-out.
 *
 * - Isolation: rows are locked, then decided on. At a stricter level, the second of two transactions fails instead of
 *   waiting for the first.
 * - synchronous_commit: a claim that a crash takes back is made again, although Twilio has the message.
 * - enable_seqscan: the plan of a prepared statement is kept until the table is analyzed again. A plan made for a small
 *   table reads all of it, also when it has grown: 140 callbacks a second instead of 3,000, on a new table with its first
 *   100,000 rows, until autovacuum ran.
 */
export function beginStatements(lockTimeoutMs: number | null): readonly string[] {
  const known = BEGIN.get(lockTimeoutMs)
  if (known !== undefined) return known
  const settings = [
    `set_config('enable_seqscan', 'off', true)`,
    synchronousCommit(true),
    ...(lockTimeoutMs === null ? [] : [`set_config('lock_timeout', '${lockTimeoutMs}', true)`]),
  ]
  const statements = ['begin isolation level read committed', `select ${settings.join(', ')}`]
  BEGIN.set(lockTimeoutMs, statements)
  return statements
}

const BEGIN = new Map<number | null, readonly string[]>()

/**
 * The backslash of a literal and the format of times mean one thing; a conflict between two single statements, such as
 * pg-boss's, is waited for.
 */
const STATEMENT_SETTINGS = `
  set time zone 'UTC';
  set datestyle = 'ISO';
  set standard_conforming_strings = on;
  set default_transaction_isolation = 'read committed';
  select ${synchronousCommit(false)};`

/** Less than the wait for an answer: a statement that we have given up would go on waiting on the server. */
const LOCK_TIMEOUT_MS = 5_000

/** Ours take milliseconds, and never pause. */
const TRANSACTION_TIMEOUT_MS = 20_000

/**
 * The server gives up when we do. A shorter time-out of the database's owner stays, unless `queryTimeoutMs` is 0. A machine
 * that dies in the middle of a transaction says nothing, and would keep its rows locked until TCP gives the connection
 * up, after two hours by default. `transaction_timeout` exists since PostgreSQL 17; before that, TCP is asked to be
 * quicker. (`idle_in_transaction_session_timeout` counts from the answer to a Sync, of which there is none in between.)
 */
export function sessionSettings(queryTimeoutMs: number): string {
  const transactionTimeoutMs = queryTimeoutMs === 0 ? 0 : TRANSACTION_TIMEOUT_MS
  // Its answer says that this statement took too long; our own time-out costs the connection.
  const statementTimeoutMs = Math.floor(queryTimeoutMs * 0.9)
  return `${STATEMENT_SETTINGS}
    set lock_timeout = ${LOCK_TIMEOUT_MS};
    set tcp_keepalives_idle = 5;
    set tcp_keepalives_interval = 2;
    set tcp_keepalives_count = 3;
    set tcp_user_timeout = 11000;
    select set_config(name, ours, false)
      from (values ('statement_timeout', '${statementTimeoutMs}'),
                   ('transaction_timeout', '${transactionTimeoutMs}')) as timeout (name, ours)
      join pg_settings using (name)
     where ours = '0' or setting::bigint = 0 or setting::bigint > ours::bigint`
}

/**
 * The time-outs of a role or a database are for an app. An index of a large table takes minutes, waits for transactions
 * that began before it without holding up anybody, and would be cut off again at each run. Not every version of
 * PostgreSQL has all of them. Who must not wait for long says so in its own file.
 */
export const MIGRATION_SETTINGS = `${STATEMENT_SETTINGS}
  select set_config(name, '0', false)
    from pg_settings
   where name in ('statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_session_timeout')`
