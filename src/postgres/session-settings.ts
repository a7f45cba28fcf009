// The PostgreSQL settings that correctness depends on, whatever the owner of server, database or role has set. Each
// transaction sets them itself: behind a pooler, a session may have the settings of another client. The session's settings
// cover single statements.

/** `local` and `remote_write` lose commits with the primary. `remote_apply` waits for more than we need, and stays. */
const synchronousCommit = (isLocal: boolean): string =>
  `set_config('synchronous_commit',
              case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, ${isLocal})`

/**
 * What every transaction begins with, in one message without parameters: if `begin` fails, PostgreSQL skips the rest.
 *
 * - Isolation: rows are locked, then decided on. At a stricter level, the second of two transactions fails instead of
 *   waiting for the first.
 * - synchronous_commit: if a crash takes a claim back, the attempt is made again although Twilio has the message.
 * - enable_seqscan: PostgreSQL keeps the plan of a prepared statement until the table is analyzed again. A plan made for
 *   a small table reads all of it, also when it has grown: 140 callbacks a second instead of 3,000, on a new table with
 *   its first 100,000 rows, until autovacuum ran.
 */
export function beginStatement(lockTimeoutMs: number | null): string {
  const settings = [
    `set_config('enable_seqscan', 'off', true)`,
    synchronousCommit(true),
    ...(lockTimeoutMs === null ? [] : [`set_config('lock_timeout', '${lockTimeoutMs}', true)`]),
  ]
  return `begin isolation level read committed; select ${settings.join(', ')}`
}

/** Literals and times have one meaning; a single statement (of pg-boss, for example) waits for a conflicting one. */
const STATEMENT_SETTINGS = `
  set time zone 'UTC';
  set datestyle = 'ISO';
  set standard_conforming_strings = on;
  set default_transaction_isolation = 'read committed';
  select ${synchronousCommit(false)};`

/** Shorter than our wait for an answer: a statement that we have given up would go on waiting on the server. */
const LOCK_TIMEOUT_MS = 5_000

/** Our transactions take milliseconds, and never pause. */
const TRANSACTION_TIMEOUT_MS = 20_000
const IDLE_TIMEOUT_MS = 10_000

/**
 * The server gives up when we do. A shorter time-out of the database's owner stays, unless `queryTimeoutMs` is 0. A machine
 * that dies in the middle of a transaction sends nothing, and would keep its rows locked until TCP closes the connection,
 * after two hours by default. `transaction_timeout` exists since PostgreSQL 17.
 */
export function sessionSettings(queryTimeoutMs: number): string {
  const isLimited = queryTimeoutMs !== 0
  // The server's answer names the statement that took too long; our own time-out costs the connection.
  const statementTimeoutMs = Math.floor(queryTimeoutMs * 0.9)
  return `${STATEMENT_SETTINGS}
    set lock_timeout = ${LOCK_TIMEOUT_MS};
    set tcp_keepalives_idle = 5;
    set tcp_keepalives_interval = 2;
    set tcp_keepalives_count = 3;
    set tcp_user_timeout = 11000;
    select set_config(name, ours, false)
      from (values ('statement_timeout', '${statementTimeoutMs}'),
                   ('idle_in_transaction_session_timeout', '${isLimited ? IDLE_TIMEOUT_MS : 0}'),
                   ('transaction_timeout', '${isLimited ? TRANSACTION_TIMEOUT_MS : 0}')) as timeout (name, ours)
      join pg_settings using (name)
     where ours = '0' or setting::bigint = 0 or setting::bigint > ours::bigint`
}

/**
 * The time-outs of a role or a database are meant for an app. An index of a large table takes minutes, waits for older
 * transactions without blocking others, and would be canceled again at each run. Not every version of PostgreSQL has all
 * of these settings. A migration that must not wait for long sets its own time-out in its file.
 */
export const MIGRATION_SETTINGS = `${STATEMENT_SETTINGS}
  select set_config(name, '0', false)
    from pg_settings
   where name in ('statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_session_timeout')`
