// Databases full of messages that Twilio has sent and not yet reported on, as the product writes them, and their return
// to that state between two rounds.
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import type { EmbeddedPostgres } from '../src/demo/embedded-postgres.ts'
import { migrate } from '../src/processes/migrate.ts'
import { silentLogger } from '../test/support/silent-logger.ts'
import { parentOf } from './processes.ts'

export interface MessageDatabase {
  readonly url: string
  query<Row extends object = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>
  /** All messages as they were at first, and nothing left for the server to catch up with. */
  reset(): Promise<void>
  /** The server's work so far is on disk, so that it is not done while the clock runs. */
  settle(): Promise<void>
  close(): Promise<void>
}

const INITIAL_TABLE = new URL('../sql/001-message-table.sql', import.meta.url)

/** A large table is filled by this many sessions at once. */
const FILLERS = 2

/**
 * Creates a database with messages 1 to `rows`.
 *
 * @param isResettable keeps a copy of the rows
 * @param fill inserts the messages from $1 to $2
 */
export async function createMessageDatabase(
  server: EmbeddedPostgres,
  name: string,
  rows: number,
  isResettable: boolean,
  fill = FILL,
): Promise<MessageDatabase> {
  await server.createDatabase(name)
  const url = server.url(name)
  const pool = new pg.Pool({ connectionString: url, max: FILLERS })
  // The server may end first, if the benchmark is interrupted.
  pool.on('error', () => undefined)
  const query: MessageDatabase['query'] = async (text, values) => (await pool.query(text, values)).rows
  const settle = async (): Promise<void> => {
    await query('checkpoint')
  }
  // First the rows and then the indexes, which is how the product finds an app's existing table.
  await query(await readFile(INITIAL_TABLE, 'utf8'))
  const share = Math.ceil(rows / FILLERS)
  const shares = Array.from({ length: FILLERS }, (_, i) => [i * share + 1, Math.min((i + 1) * share, rows)])
  await Promise.all(shares.map((range) => query(fill, range)))
  await query(`select setval('sms_usage_logs_id_seq', $1)`, [rows])
  if (isResettable) await query('create table bench_rows as table sms_usage_logs')
  await migrate({ url, ssl: null, poolMax: 2 }, silentLogger)
  await query('vacuum analyze')
  await settle()
  return {
    url,
    query,
    settle,
    async reset() {
      await query('truncate sms_usage_logs')
      await query('insert into sms_usage_logs select * from bench_rows')
      await query('vacuum analyze sms_usage_logs')
      await settle()
    },
    close: () => pool.end(),
  }
}

/** What insertMessage writes, and recordEvents then makes of Twilio's answer and its reports up to `sent`. */
const FILL = fillUpTo('sent')

/** The statement that inserts messages as they are after the report of this status. */
export function fillUpTo(status: 'queued' | 'sent'): string {
  return `
  insert into sms_usage_logs (
    id, user_id, phone_number, message_direction, message_length, message_content, success, processing_time_ms,
    sms_metadata, created_at, retry_count, max_retries, twilio_message_sid, final_status)
  select id, 1 + id % 5000, '+1206' || lpad((id % 10000000)::text, 7, '0'), 'outbound', length(body), body, true,
         150 + id % 100,
         jsonb_build_object(
           'reconcile_at', iso_time(created_at + interval '301.2 s'),
           'attempts', jsonb_build_array(jsonb_build_object(
             'number', 0, 'status', '${status}', 'sid', sid, 'times', jsonb_build_object(
               'submitting', iso_time(created_at), 'accepted', iso_time(created_at + interval '0.18 s'),
               'queued', iso_time(created_at + interval '0.35 s')${status === 'sent' ? `, 'sent', iso_time(created_at + interval '1.2 s')` : ''})))),
         created_at, 0, 3, sid, '${status}'
    from (select id, 'Your appointment ' || lpad(id::text, 8, '0') || ' is tomorrow at 10:30. Reply C to confirm it, X to cancel.' as body,
                 'SM' || md5(id::text) as sid,
                 now() at time zone 'UTC' - interval '15 min' + make_interval(secs => id * 0.0001) as created_at
            from generate_series($1::integer, $2::integer) as id) as message`.replaceAll(
    /iso_time\(([^()]*)\)/g,
    `to_char($1, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
  )
}

/** The server's first process, whose children are all the others. */
export async function postmasterPid(server: EmbeddedPostgres): Promise<number> {
  const client = new pg.Client({ connectionString: server.url('postgres') })
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const parent = parentOf(rows[0]?.pid ?? 0)
  await client.end()
  return parent
}
