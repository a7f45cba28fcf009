// A database with messages that wait for their first retry, written as the product writes them after a status callback
// 'undelivered' with 30003: row and job in one transaction, the job due at the row's next_retry_at.
import { setTimeout as sleep } from 'node:timers/promises'
import { iso } from '../../src/db/times.ts'
import { type Database, type Db, openDatabase } from '../../src/postgres/pool.ts'
import { migrate } from '../../src/processes/migrate.ts'
import { type Queue, startQueue } from '../../src/jobs/queue.ts'
import { silentLogger } from '../../test/support/silent-logger.ts'
import type { BenchContext } from '../section.ts'

const NO_TIMEOUT = 0

const INSERT = `
  insert into sms_usage_logs (
      user_id, phone_number, message_direction, message_length, message_content, success, processing_time_ms,
      error_message, sms_metadata, created_at, retry_count, max_retries, next_retry_at, twilio_message_sid, final_status)
  select 1, '+1206' || lpad((random() * 9999999)::int::text, 7, '0'), 'outbound', 22, 'Your order has shipped', false, 80,
         '30003: The handset was unreachable: switched off or out of coverage. Retry 1 of 2 is scheduled',
         jsonb_build_object(
           'retry_error', 'Unreachable', 'retry_reason', 30003, 'retry_strategy', 'exponential_backoff',
           'reconcile_at', ${iso("due + interval '30 seconds'")},
           'attempts', jsonb_build_array(
             jsonb_build_object(
               'number', 0, 'status', 'undelivered', 'sid', sid, 'error_code', 30003, 'error_text', 'Unreachable',
               'times', jsonb_build_object(
                 'submitting', ${iso("now() - interval '6 seconds'")}, 'queued', ${iso("now() - interval '5 seconds'")},
                 'undelivered', ${iso('now()')})),
             jsonb_build_object(
               'number', 1, 'status', 'pending', 'times', jsonb_build_object('pending', ${iso('now()')})))),
         now() - interval '6 seconds', 1, 3, due, sid, 'retrying'
    from unnest($1::timestamptz[]) as due,
         lateral (select 'SM' || md5(random()::text || due::text)) as sent(sid)
  returning id, next_retry_at as "dueAt"`

export interface WaitingRetry {
  readonly id: number
  readonly dueAt: Date
}

export interface RetryTable extends AsyncDisposable {
  readonly url: string
  /**
   * Adds one message for each time at which a retry is due, in one transaction.
   *
   * @param beforeCommit called when nothing but the commit is left to be done
   */
  add(dueAt: readonly Date[], beforeCommit?: () => void): Promise<WaitingRetry[]>
  /** Resolves once no retry is due or under way. */
  untilRecorded(): Promise<void>
  /** Resolves once a worker that was started after this time looks for jobs: at level warn it does not say so. */
  untilFetchedSince(startedAt: Date): Promise<void>
  /** What was accepted is delivered, as callbacks would say by and by, and autovacuum has been round. */
  settle(): Promise<void>
  /** Transactions that were committed in this database. */
  transactions(): Promise<number>
  /** @throws if the database has had to break a deadlock */
  assertNoDeadlock(): Promise<void>
}

/** A migrated database of its own, or a copy of a table's that is closed. */
export async function openRetryTable(
  { server }: BenchContext,
  name: string,
  template?: string,
): Promise<RetryTable> {
  await server.createDatabase(name, template)
  const config = { url: server.url(name), ssl: null, poolMax: 2 }
  if (template === undefined) await migrate(config, silentLogger)
  const database = openDatabase(config, () => undefined, NO_TIMEOUT)
  const queue = await startQueue(database, 'schedule', silentLogger)
  const statistic = async (column: string): Promise<number> => {
    const { rows } = await database.executeSql<{ value: string }>(
      `select ${column} as "value" from pg_stat_database where datname = current_database()`,
    )
    return Number(rows[0]?.value)
  }
  return {
    url: config.url,
    add: (dueAt, beforeCommit) =>
      database.transaction(async (tx) => {
        const added = await insertRetries(tx, queue, dueAt)
        beforeCommit?.()
        return added
      }),
    untilRecorded: () => untilOver(database, OPEN_RETRY),
    untilFetchedSince: (startedAt) => untilOver(database, NOT_FETCHED, [startedAt]),
    async settle() {
      await database.executeSql(
        `update sms_usage_logs
            set final_status = 'delivered', success = true, sms_metadata = sms_metadata - 'reconcile_at'
          where final_status = 'queued'`,
      )
      await database.executeSql('vacuum (analyze) sms_usage_logs')
      await database.executeSql('vacuum (analyze) sms_retry_pgboss.job')
    },
    transactions: () => statistic('xact_commit'),
    async assertNoDeadlock() {
      const deadlocks = await statistic('deadlocks')
      if (deadlocks > 0) throw new Error(`The database has had to break ${deadlocks} deadlocks`)
    },
    async [Symbol.asyncDispose]() {
      await queue.stop(1_000)
      await database.close()
    },
  }
}

async function insertRetries(tx: Db, queue: Queue, dueAt: readonly Date[]): Promise<WaitingRetry[]> {
  const { rows } = await tx.executeSql<WaitingRetry>(INSERT, [dueAt])
  const job = { attempt: 1, postponements: 0 }
  await queue.schedule(
    tx,
    rows.map(({ id, dueAt: at }) => ({ messageId: id, key: null, ...job, at })),
  )
  return rows
}

const OPEN_RETRY = `
  select exists (select from sms_usage_logs where final_status = 'submitting')
      or exists (select from sms_usage_logs
                  where success = false and next_retry_at is not null and next_retry_at <= now()) as "goesOn"`

const NOT_FETCHED = `
  select not exists (select from pg_stat_activity
                      where datname = current_database() and backend_start > $1 and pid <> pg_backend_pid()
                        and query ilike '%skip locked%') as "goesOn"`

const POLL_MS = 5
const GIVEN_UP_MS = 120_000

async function untilOver(database: Database, question: string, values: unknown[] = []): Promise<void> {
  const givenUpMs = performance.now() + GIVEN_UP_MS
  while (performance.now() < givenUpMs) {
    const { rows } = await database.executeSql<{ goesOn: boolean }>(question, values)
    if (rows[0]?.goesOn === false) return
    await sleep(POLL_MS)
  }
  throw new Error(`Waited for ${GIVEN_UP_MS / 1000} s, in vain: ${question}`)
}
