// The PostgreSQL settings that correctness depends on. They override the settings of the server, the database and the
// role. Each transaction sets its own: behind a pooler, a session may have the settings of another client. The settings
// of the session apply to single statements.

/**
 * `off`, `local` and `remote_write` can lose commits when the primary fails. `remote_apply` is stricter than needed,
 * and is kept.
 */
const synchronousCommit = (isLocal: boolean): string =>
  `set_config('synchronous_commit',
              case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, ${isLocal})`

/**
 * The beginning of every transaction, in one message without parameters: if `begin` fails, PostgreSQL skips the rest.
 *
 * - Isolation: rows are locked, then decided on. At a stricter level, the second of two transactions fails instead of
 *   waiting for the first.
 * - synchronous_commit: if a crash loses a committed claim, the attempt is made again although Twilio has the message.
 * - enable_seqscan: PostgreSQL keeps the plan of a prepared statement until the table is analyzed again. A plan made
 *   for a small table scans all of it, even after it has grown. A new table with 100,000 rows then allows 140 callbacks
 *   a second instead of 3,000, until autovacuum runs.
 */
export function beginStatement(lockTimeoutMs: number | null): string {
  const settings = [
    `set_config('enable_seqscan', 'off', true)`,
    synchronousCommit(true),
    ...(lockTimeoutMs === null ? [] : [`set_config('lock_timeout', '${lockTimeoutMs}', true)`]),
  ]
  return `begin isolation level read committed; select ${settings.join(', ')}`
}

/**
 * These settings make literals and times unambiguous. At `read committed`, a single statement, such as one of pg-boss,
 * waits for a conflicting one instead of failing.
 */
const STATEMENT_SETTINGS = `
  set time zone 'UTC';
  set datestyle = 'ISO';
  set standard_conforming_strings = on;
  set default_transaction_isolation = 'read committed';
  select ${synchronousCommit(false)};`

/** Shorter than the query time-out: otherwise a statement that we no longer wait for would still wait on the server. */
const LOCK_TIMEOUT_MS = 5_000

/** Much longer than our transactions, which take milliseconds and never pause. */
const TRANSACTION_TIMEOUT_MS = 20_000
const IDLE_TIMEOUT_MS = 10_000

/**
 * Makes the server time out when we do. A shorter time-out that the database's owner has set is kept, unless
 * `queryTimeoutMs` is 0. The keepalives release the locks of a machine that died in a transaction: without them, TCP
 * closes its connection after two hours. `transaction_timeout` exists since PostgreSQL 17.
 */
export function sessionSettings(queryTimeoutMs: number): string {
  const isLimited = queryTimeoutMs !== 0
  // The server must time out first: its error names the slow statement, and the connection survives.
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
 * Lifts the time-outs of the role and the database, which are meant for an app. Creating an index on a large table
 * takes minutes without blocking others, and a time-out would cancel it at each run. Some versions of PostgreSQL lack
 * some of these settings. A migration that must not wait for long sets its own time-out in its file.
 */
export const MIGRATION_SETTINGS = `${STATEMENT_SETTINGS}
  select set_config(name, '0', false)
    from pg_settings
   where name in ('statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_session_timeout')`
