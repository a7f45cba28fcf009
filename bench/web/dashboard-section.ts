// How long an operator waits: each page of the dashboard over a table with a history, by HTTP, and the statements behind
// them at the span that is shown first.
import { countInDoubt, readBacklog } from '../../src/db/backlog.ts'
import { readCodeFigures, readFailedAttempts } from '../../src/db/failed-attempts.ts'
import { countFailures } from '../../src/db/failures.ts'
import { countLost } from '../../src/db/lost.ts'
import { countMessagesByTime } from '../../src/db/overview.ts'
import { readSegmentPrice } from '../../src/db/segment-price.ts'
import { readHealth } from '../../src/processes/health-watch.ts'
import { openDatabase } from '../../src/postgres/pool.ts'
import { searchMessages } from '../../src/db/search.ts'
import { toSearch } from '../../src/messages/message-filter.ts'
import { type NamedSpan, SPANS } from '../../src/http/dashboard/spans.ts'
import { createMessageDatabase } from '../database.ts'
import type { BenchCase, BenchContext, Figures, Section } from '../section.ts'
import { startWebProcess } from './endpoints.ts'
import { type Own, openCases } from './shared-resources.ts'

/** 33,333 messages a day. */
const ROWS_OF_30_DAYS = 1_000_000
const LARGE_ROWS = 5_000_000

const PAGES = {
  'overview 24h': '/?span=24h',
  'overview 7d': '/?span=7d',
  'overview 30d': '/?span=30d',
  'error codes 24h': '/error-codes?span=24h',
  'error codes 30d': '/error-codes?span=30d',
  'one error code 24h': '/error-codes/30003?span=24h',
  'one error code 30d': '/error-codes/30003?span=30d',
  messages: '/messages',
  'messages of a status': '/messages?status=undelivered',
  'messages of a user, 30d': '/messages?user=77&span=30d',
  'messages to a number that there is not, 30d': '/messages?number=99999999&span=30d',
  'messages with a code that there is not, 30d': '/messages?code=11111&span=30d',
  'one message': '/messages/4242',
  queue: '/queue',
}

export const dashboard: Section = {
  name: 'dashboard',
  rounds: (isQuick) => (isQuick ? 2 : 5),
  open: (context) => openCases((own) => openBoth(context, own)),
  judge: (medians) =>
    [...medians].flatMap(([name, figures]) =>
      Object.entries(figures).map(([what, value]) => ({
        what: `${name}: ${what}`,
        value,
        most: name === STATEMENTS ? 50 : 300,
      })),
    ),
}

const PAGE_TIMES = 'pages'
const STATEMENTS = 'statements'

async function openBoth(
  { server, isQuick, say }: BenchContext,
  own: Own,
): Promise<Omit<BenchCase, 'close'>[]> {
  const rows = isQuick ? 100_000 : LARGE_ROWS
  const perDay = isQuick ? rows / 30 : ROWS_OF_30_DAYS / 30
  say(`filling a table of ${rows.toLocaleString('en')} rows, of ${Math.round(rows / perDay)} days`)
  const database = await own(createMessageDatabase(server, 'dashboard', rows, false, history(rows, perDay)))
  const web = await own(
    startWebProcess(database.url, { DASHBOARD_USERNAME: USER, DASHBOARD_PASSWORD: PASSWORD }),
  )
  const statements = await own(openStatements(database.url))
  return [
    { name: PAGE_TIMES, round: () => openPages(web.url) },
    { name: STATEMENTS, round: () => statements.round() },
  ]
}

const USER = 'operator'
const PASSWORD = 'correct horse battery'

async function openPages(url: string): Promise<Figures> {
  const authorization = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`
  const figures: Record<string, number> = {}
  for (const [name, path] of Object.entries(PAGES)) {
    const startedMs = performance.now()
    const response = await fetch(url + path, { headers: { authorization } })
    await response.text()
    if (!response.ok) throw new Error(`${path} was answered with ${response.status}`)
    figures[`${name} ms`] = performance.now() - startedMs
  }
  return figures
}

async function openStatements(url: string): Promise<{ round(): Promise<Figures>; close(): Promise<void> }> {
  const database = openDatabase({ url, ssl: null, poolMax: 1 }, () => undefined)
  const day = spanNamed('24h')
  const month = spanNamed('30d')
  const all = toSearch({}, new Date())
  const msOf = async (read: () => Promise<unknown>): Promise<number> => {
    const startedMs = performance.now()
    await read()
    return performance.now() - startedMs
  }
  return {
    round: async () => ({
      'figures of a day ms': await msOf(() => countMessagesByTime(database, day)),
      'failures of a day ms': await msOf(() => countFailures(database, day.seconds)),
      'error codes of a day ms': await msOf(() => readCodeFigures(database, day.seconds)),
      'attempts of one error code ms': await msOf(() => readFailedAttempts(database, 30003, day.seconds)),
      'lost messages of a day ms': await msOf(() => countLost(database, day)),
      'what waits ms': await msOf(() => readBacklog(database)),
      'what is in doubt ms': await msOf(() => countInDoubt(database, day.seconds)),
      'lost messages of 30 days ms': await msOf(() => countLost(database, month)),
      'price of a segment ms': await msOf(() => readSegmentPrice(database, month.seconds)),
      'findings ms': await msOf(() => readHealth(database)),
      'newest messages ms': await msOf(() => searchMessages(database, all, null, { limit: 50 })),
    }),
    close: () => database.close(),
  }
}

function spanNamed(wanted: string): NamedSpan {
  const span = SPANS.find(({ name }) => name === wanted)
  if (span === undefined) throw new Error(`there is no span ${wanted}`)
  return span
}

/**
 * One in 50 failed for good, three in 50 were recovered by a retry, the newest 2,000 are on their way, some of them
 * waiting for a retry.
 */
function history(rows: number, perDay: number): string {
  const entry = (number: number, status: string, code = 'null'): string =>
    `jsonb_build_object('number', ${number}, 'sid', 'SM' || md5(id || '-${number}'), 'status', ${status}, 'error_code', ${code},
       'times', '{"submitting": "2026-07-01T12:0${number}:00.000Z", "accepted": "2026-07-01T12:0${number}:00.200Z",
                  "queued": "2026-07-01T12:0${number}:00.400Z", "sent": "2026-07-01T12:0${number}:01.600Z"}'::jsonb
                || jsonb_build_object(${status}, '2026-07-01T12:0${number}:07.300Z'))`
  return `
    insert into sms_usage_logs (
      id, user_id, phone_number, message_direction, message_length, message_content, created_at, final_status, success,
      next_retry_at, retry_count, twilio_message_sid, sms_metadata)
    select id, id % 5000, '+1206' || lpad((id::bigint * 7919 % 10000000)::text, 7, '0'), 'outbound', 90, repeat('Hello ', 15),
           now() at time zone 'UTC' - (${rows} - id) * interval '${86_400 / perDay} s', status, status not in ('undelivered', 'retrying'),
           case when status = 'retrying' then now() + interval '1 h' end, (id % 50 in (1, 2, 3))::int, 'SM' || md5(id::text),
           jsonb_build_object('attempts', case
             when status = 'retrying' then jsonb_build_array(${entry(0, "'undelivered'", '30003')}, '{"number": 1, "status": "pending"}'::jsonb)
             when id % 50 in (1, 2, 3) then jsonb_build_array(${entry(0, "'undelivered'", '30001 + id % 4')}, ${entry(1, 'status')})
             when status = 'undelivered' then jsonb_build_array(${entry(0, 'status', '30006')})
             else jsonb_build_array(${entry(0, 'status')}) end)
      from generate_series($1::integer, $2::integer) as id,
           lateral (select case when id > ${rows - 2_000} and id % 50 = 1 then 'retrying' when id > ${rows - 2_000} then 'sent'
                                when id % 50 = 0 then 'undelivered' else 'delivered' end as status) as s`
}
