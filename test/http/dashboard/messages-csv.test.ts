// The CSV file of a filter: its columns, what it hides, its limits, and clients that are slow or leave.
import { get as httpGet, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import express from 'express'
import pg from 'pg'
import { readAccountState } from '../../../src/db/account-row.ts'
import { setAccount, setBasePath } from '../../../src/http/dashboard/layout.ts'
import { CSV_LIMITS, type CsvLimits, csvRoute } from '../../../src/http/dashboard/messages-csv.ts'
import { openRuntime } from '../../../src/processes/runtime.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { waitFor } from '../../support/wait-for.ts'
import { capturingLogger, type LogLine } from '../../support/world.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, get, SIGNED_IN } from './operator.ts'

let database: TestDatabase
let masked: endpoint.Endpoint
let open: endpoint.Endpoint

beforeAll(async () => {
  database = await createTestDatabase()
  masked = await endpoint.startEndpoint(database.url, CREDENTIALS)
  open = await endpoint.startEndpoint(database.url, { ...CREDENTIALS, DASHBOARD_SHOW_CONTENT: 'true' })
})

afterEach(() => database.query('truncate sms_usage_logs'))

afterAll(async () => {
  expect([...masked.log, ...open.log].filter(({ level }) => level === 'error')).toEqual([])
  await masked.stop()
  await open.stop()
  await database.drop()
})

/** Message n was created n minutes ago; every third one failed. */
async function addMessages(count: number, metadata = `jsonb_build_object('order', n)`): Promise<void> {
  await database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                                 final_status, success, retry_count, twilio_message_sid, error_message, sms_metadata)
     select n, '+1206555' || lpad(n::text, 4, '0'), 'outbound', 6, 'secret', now() at time zone 'UTC' - n * interval '1 min',
            case when n % 3 = 0 then 'undelivered' else 'delivered' end, n % 3 <> 0, n % 2, 'SM' || md5(n::text),
            case when n % 3 = 0 then 'No, "never" for +1206555' || lpad(n::text, 4, '0') end,
            ${metadata} || jsonb_build_object('attempts', jsonb_build_array(jsonb_build_object(
              'number', 0, 'status', 'undelivered', 'error_code', 30003, 'times', '{}'::jsonb)))
       from generate_series(1, $1::integer) as n`,
    [count],
  )
}

const COLUMNS = 'id,created_at,to,user,status,error_code,retries,next_retry_at,sid,reason,metadata'.split(',')

/** The lines of a file, each as its fields: RFC 4180. */
function parse(file: string): string[][] {
  const lines: string[][] = []
  let fields: string[] = []
  for (const [, quoted, plain = '', end] of file.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    if (end === '' && fields.length === 0) break
    fields.push(quoted?.replaceAll('""', '"') ?? plain)
    if (end === ',') continue
    lines.push(fields)
    fields = []
  }
  return lines
}

/** The records of the file at this path, as objects. */
async function recordsOf(
  web: Pick<endpoint.Endpoint, 'url'>,
  path: string,
): Promise<Record<string, string>[]> {
  const { status, text } = await get(web, path)
  expect(status).toBe(200)
  const [head = [], ...lines] = parse(text)
  expect(head).toEqual(COLUMNS)
  return lines.map((line) => {
    expect(line).toHaveLength(COLUMNS.length)
    return Object.fromEntries(line.map((field, i) => [COLUMNS[i] ?? '', field]))
  })
}

describe('the file', () => {
  test('has one line per message of the filter, newest first, with the values of the rows', async () => {
    await addMessages(9)
    const rows = await database.query(
      `select id::text, to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at, right(phone_number, 4) as digits,
              user_id::text as user, retry_count::text as retries, twilio_message_sid as sid
         from sms_usage_logs where final_status = 'undelivered' order by created_at desc`,
    )
    const records = await recordsOf(masked, '/messages.csv?status=failed-for-good')
    expect(records).toEqual(
      rows.map(({ digits, ...row }) => ({
        ...row,
        to: `…${digits}`,
        status: 'undelivered',
        error_code: '30003',
        next_retry_at: '',
        reason: `No, "never" for …${digits}`,
        metadata: `{"order":${row['user']}}`,
      })),
    )
  })

  test('has the type and the name of a CSV file, and a mark by which Excel reads UTF-8', async () => {
    await addMessages(1)
    const response = await fetch(`${masked.url}/messages.csv`, { headers: { Authorization: SIGNED_IN } })
    expect(response.headers.get('Content-Type')).toBe('text/csv; charset=utf-8; header=present')
    expect(response.headers.get('Content-Disposition')).toMatch(
      /^attachment; filename="messages-\d{4}-\d\d-\d\dT\d{4}Z\.csv"$/,
    )
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    const bytes = new Uint8Array(await response.arrayBuffer())
    expect([...bytes.slice(0, 3)]).toEqual([0xef, 0xbb, 0xbf])
  })

  test('has only its head if no message matches', async () => {
    expect(await recordsOf(masked, '/messages.csv?status=failed')).toEqual([])
  })

  test('has each message exactly once if it is read in several pages', async () => {
    const count = 2 * CSV_LIMITS.pageSize + 200
    await addMessages(count)
    const users = (await recordsOf(masked, '/messages.csv')).map(({ user }) => Number(user))
    expect(users).toEqual(Array.from({ length: count }, (_, i) => i + 1))
  })

  test('has no full number and no message text by default', async () => {
    await addMessages(3, `jsonb_build_object('phone', '+1 (206) 555-' || lpad(n::text, 4, '0'))`)
    const { text } = await get(masked, '/messages.csv')
    expect(text).not.toMatch(/206|secret/)
    expect(text).toContain('…0003')
  })

  test('has full numbers with DASHBOARD_SHOW_CONTENT, and no message text', async () => {
    await addMessages(3)
    const [, , third] = await recordsOf(open, '/messages.csv')
    expect(third).toMatchObject({ to: `'+12065550003`, reason: 'No, "never" for +12065550003' })
    expect((await get(open, '/messages.csv')).text).not.toContain('secret')
  })

  test('has no formula, whatever an app wrote into a row', async () => {
    await addMessages(1)
    await database.query(
      `update sms_usage_logs set error_message = '=HYPERLINK("http://x.example")', final_status = 'failed', success = false`,
    )
    expect(await recordsOf(masked, '/messages.csv')).toMatchObject([
      { reason: `'=HYPERLINK("http://x.example")` },
    ])
  })
})

test('the messages page links to the file of its filter', async () => {
  await addMessages(3)
  const { text } = await get(masked, '/messages?status=delivered&code=30003')
  expect(text).toContain('href="/messages.csv?status=delivered&amp;code=30003"')
  expect((await get(masked, '/messages?status=failed')).text).not.toContain('messages.csv')
})

describe('refusals', () => {
  test('without a password, the answer is 401', async () => {
    const { status, text } = await get(masked, '/messages.csv', {})
    expect([status, text.includes('created_at')]).toEqual([401, false])
  })

  test.each([
    'status=bounced',
    'code=x',
    'since=yesterday',
    'after=yesterday&after-id=1',
  ])('the invalid filter %s is answered 400', async (query) => {
    const { status, text } = await get(masked, `/messages.csv?${query}`)
    expect([status, text.includes('Invalid search')]).toEqual([400, true])
  })
})

test('the log names the person and the filter, without its personal data', async () => {
  await addMessages(3)
  await recordsOf(masked, '/messages.csv?number=0003&user=3&metadata=order=3')
  const line = await waitFor('the log line', async () =>
    masked.log.findLast(({ message }) => message === 'Messages exported'),
  )
  expect(line?.fields).toMatchObject({
    by: CREDENTIALS.DASHBOARD_USERNAME,
    hasNumber: true,
    hasUser: true,
    metadataKeys: ['order'],
    messages: 1,
    isComplete: true,
  })
  expect(JSON.stringify(line)).not.toContain('0003')
})

/** The route with other limits, without a sign-in. */
async function startOwn(limits: Partial<CsvLimits>) {
  const log: LogLine[] = []
  const env = { DATABASE_URL: database.url, DATABASE_POOL_MAX: '2' }
  const runtime = openRuntime({ logger: capturingLogger(log) }, env, ['DATABASE_URL'])
  const app = express()
  app.use(async (_request, response, next) => {
    setBasePath(response, '')
    setAccount(response, await readAccountState(runtime.database))
    next()
  })
  app.use(csvRoute(runtime, 'Ann', { ...CSV_LIMITS, ...limits }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    log,
    last: (message: string) => log.findLast((line) => line.message === message),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await runtime.database.close()
    },
  }
}

/** A client that has the head of the answer, and reads nothing more. */
async function startReading(url: string): Promise<IncomingMessage> {
  const request = httpGet(`${url}/messages.csv`)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

/** 30 MB: more than the buffers between server and client can hold. */
const addMuch = (): Promise<void> =>
  addMessages(3_000, `jsonb_build_object('note', repeat(md5(n::text), 320))`)

/** Reads what is left, until the connection is closed. */
async function readToEnd(response: IncomingMessage): Promise<void> {
  // An early end is an error as well; `complete` tells it.
  response.on('error', () => undefined).resume()
  await new Promise((resolve) => response.once('close', resolve))
}

const CUT_OFF = 'An export of messages was cut off'

describe('limits', () => {
  test('the path of the rest has the time range that the file began with', async () => {
    await using web = await startOwn({ maxMessages: 3 })
    await addMessages(5)
    const from = Date.now()
    const records = await recordsOf(web, '/messages.csv?span=24h&until=1m')
    const [, path = ''] = / (\/messages\.csv\S+)$/.exec(records.at(-1)?.['id'] ?? '') ?? []
    const query = new URLSearchParams(path.split('?')[1])
    expect(query.get('span')).toBeNull()
    // A minute, for a slow machine.
    const ageOf = (name: string): number => from - Date.parse(query.get(name) ?? '')
    expect(Math.abs(ageOf('since') - 86_400_000)).toBeLessThan(60_000)
    expect(Math.abs(ageOf('until') - 60_000)).toBeLessThan(60_000)
    // The oldest message leaves the time range of `24h` before the rest is read.
    await database.query(
      `update sms_usage_logs set created_at = $1::timestamptz at time zone 'UTC' where user_id = 5`,
      [query.get('since')],
    )
    expect((await recordsOf(web, path)).map(({ user }) => Number(user))).toEqual([4, 5])
  })

  test('a file that ends at the maximum says so in its last line, which has the path of the rest', async () => {
    await using web = await startOwn({ maxMessages: 4, pageSize: 3 })
    await addMessages(10)
    // The position of the rest needs the id as well.
    await database.query(`update sms_usage_logs set created_at = '2026-07-01T12:00:00Z'`)
    const users: number[] = []
    let path: string | undefined = '/messages.csv?status=delivered,undelivered'
    let files = 0
    while (path !== undefined) {
      const records = await recordsOf(web, path)
      const note = records.at(-1)?.['id'] ?? ''
      path = / (\/messages\.csv\S+)$/.exec(note)?.[1]
      if (path !== undefined) {
        expect(note).toMatch(/^# This file is incomplete: .* after 4 messages/)
        records.pop()
      }
      users.push(...records.map(({ user }) => Number(user)))
      files += 1
    }
    expect(files).toBe(3)
    expect(users).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
  })

  test('a file with exactly the maximum is complete', async () => {
    await using web = await startOwn({ maxMessages: 4, pageSize: 3 })
    await addMessages(4)
    expect(await recordsOf(web, '/messages.csv')).toHaveLength(4)
    await waitFor('the log line', async () => web.last('Messages exported')?.fields['isComplete'] === true)
  })

  test('an export that takes too long ends with the path of the rest', async () => {
    await using web = await startOwn({ readMs: 1, pageSize: 1 })
    await addMessages(500)
    const records = await recordsOf(web, '/messages.csv')
    expect(records.at(-1)?.['id']).toContain('# This file is incomplete')
    expect(records.length).toBeLessThan(500)
    expect(records.length).toBeGreaterThan(1)
  })

  test('a client that does not read is disconnected, and until then no transaction is open', async () => {
    await using web = await startOwn({ sendMs: 1_500 })
    await addMuch()
    const response = await startReading(web.url)
    const [row] = await database.query<{ open: number }>(
      `select count(*)::integer as "open" from pg_stat_activity
        where datname = current_database() and application_name = 'sms-retry' and state like 'idle in transaction%'`,
    )
    expect(row?.open).toBe(0)
    await waitFor('the cut', async () => web.last(CUT_OFF) !== undefined)
    await readToEnd(response)
    expect(response.complete).toBe(false)
    expect(Number(web.last(CUT_OFF)?.fields['messages'])).toBeLessThan(3_000)
  })

  test('an export ends when its client leaves', async () => {
    await using web = await startOwn({})
    await addMuch()
    const response = await startReading(web.url)
    response.destroy()
    await waitFor('the end', async () => web.last(CUT_OFF) !== undefined)
    expect(Number(web.last(CUT_OFF)?.fields['messages'])).toBeLessThan(3_000)
    expect(web.last('Messages exported')).toBeUndefined()
  })

  test('an export whose client left before its first line ends, and makes room for the next one', async () => {
    await using web = await startOwn({ maxAtOnce: 1 })
    await addMessages(3)
    const lock = new pg.Client({ connectionString: database.url })
    await lock.connect()
    await lock.query('begin; lock table sms_usage_logs')
    const request = httpGet(`${web.url}/messages.csv`).on('error', () => undefined)
    await waitFor('the query to wait', async () => {
      const rows = await lock.query(
        `select from pg_locks where not granted and relation = 'sms_usage_logs'::regclass`,
      )
      return rows.rowCount === 1
    })
    request.destroy()
    await lock.query('commit')
    await lock.end()
    await waitFor('the end', async () => web.last(CUT_OFF) !== undefined)
    expect(await recordsOf(web, '/messages.csv')).toHaveLength(3)
  })

  test('further exports are answered 429 while others run, and served afterwards', async () => {
    await using web = await startOwn({ maxAtOnce: 1 })
    await addMuch()
    const response = await startReading(web.url)
    const refused = await get(web, '/messages.csv')
    expect([refused.status, refused.text.includes('Too many exports')]).toEqual([429, true])
    response.destroy()
    await waitFor('the end', async () => web.last(CUT_OFF) !== undefined)
    expect(await recordsOf(web, '/messages.csv?user=1')).toHaveLength(1)
  })

  test('a database that fails in the middle leaves a file that the client sees is incomplete', async () => {
    await using web = await startOwn({})
    await addMuch()
    const response = await startReading(web.url)
    await database.query('alter table sms_usage_logs rename to gone')
    try {
      await readToEnd(response)
      expect(response.complete).toBe(false)
      await waitFor('the log line', async () => web.last(CUT_OFF) !== undefined)
    } finally {
      await database.query('alter table gone rename to sms_usage_logs')
    }
  })
})

test('HEAD is answered without reading the messages', async () => {
  await database.query('alter table sms_usage_logs rename to gone')
  try {
    const answer = async (method: string) => {
      const headers = { Authorization: SIGNED_IN }
      const response = await fetch(`${masked.url}/messages.csv`, { method, headers })
      const disposition = response.headers.get('Content-Disposition')?.split(';')[0] ?? null
      return [response.status, response.headers.get('Content-Type'), disposition]
    }
    expect(await answer('HEAD')).toEqual([200, 'text/csv; charset=utf-8; header=present', 'attachment'])
    // A database that fails before the first line is answered with a page, which is not saved as the file.
    expect(await answer('GET')).toEqual([503, 'text/html; charset=utf-8', null])
  } finally {
    await database.query('alter table gone rename to sms_usage_logs')
  }
})
