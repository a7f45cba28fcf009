// The pages' figures compared with plain SQL, the personal data that they hide, and their answers to invalid queries.
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import express from 'express'
import { createHttpApp } from '../../../src/http/app.ts'
import { openRuntime } from '../../../src/processes/runtime.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { waitFor } from '../../support/wait-for.ts'
import * as endpoint from '../endpoint.ts'
import { basic, CREDENTIALS, figureOf, get, pagesFrom, type Seen, unescapeHtml } from './operator.ts'

let database: TestDatabase
let masked: endpoint.Endpoint
let open: endpoint.Endpoint

const SCRIPT = '<script>alert("1")</script>'

beforeAll(async () => {
  database = await createTestDatabase()
  masked = await endpoint.startEndpoint(database.url, CREDENTIALS)
  open = await endpoint.startEndpoint(database.url, { ...CREDENTIALS, DASHBOARD_SHOW_CONTENT: 'true' })
  // 200 messages of the last four days, in every state; the text of each is a script.
  await database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                                 final_status, success, next_retry_at, retry_count, twilio_message_sid, error_message,
                                 sms_metadata)
     select n % 9, '+1206555' || lpad(n::text, 4, '0'), case when n % 10 = 9 then 'inbound' else 'outbound' end, 5, $1::text,
            now() at time zone 'UTC' - (n - 1) * interval '30 min', status, status not in ('retrying', 'undelivered'),
            case when status = 'retrying' then now() + interval '5 min' end, case when n % 10 in (1, 2, 5) then 1 else 0 end,
            case when status <> 'pending' then 'SM' || md5(n::text) end,
            case when status = 'undelivered' then 'Refused for +12065550199' end,
            jsonb_build_object('attempts', case when n % 10 in (1, 2, 5) then jsonb_build_array(
              jsonb_build_object('number', 0, 'status', 'undelivered', 'error_code', 30003, 'error_text', 'for +12065550199', 'times',
                '{"submitting": "2026-07-01T12:00:00.000Z", "undelivered": "2026-07-01T12:00:10.000Z"}'::jsonb),
              jsonb_build_object('number', 1, 'status', case n % 10 when 1 then 'delivered' when 2 then 'undelivered' else 'pending' end,
                'error_code', case when n % 10 = 2 then 30006 end, 'times', '{"submitting": "2026-07-01T12:05:10.000Z"}'::jsonb))
              else '[]'::jsonb end)
       from generate_series(1, 200) as n,
            lateral (select (array['delivered', 'delivered', 'undelivered', 'pending', 'submitting', 'retrying', 'sent',
                                   'canceled', 'delivered', 'delivered'])[n % 10 + 1] as status) as s`,
    [SCRIPT],
  )
})

afterAll(async () => {
  expect(masked.log.filter(({ level }) => level === 'error')).toEqual([])
  await masked.stop()
  await open.stop()
  await database.drop()
})

async function truth(question: string): Promise<number> {
  const [row] = await database.query<{ n: string }>(
    `select (${question})::text as "n" from sms_usage_logs where message_direction <> 'inbound'`,
  )
  return Number(row?.n)
}

async function idOf(n: number): Promise<number> {
  const number = `+1206555${String(n).padStart(4, '0')}`
  const [row] = await database.query<{ id: number }>(
    'select id from sms_usage_logs where phone_number = $1',
    [number],
  )
  return row?.id ?? 0
}

describe.each([
  ['1h', '1 hour'],
  ['24h', '24 hours'],
  ['7d', '7 days'],
  ['30d', '30 days'],
])('the overview of %s', (span, interval) => {
  test('shows the same figures as plain SQL', async () => {
    const page = await get(masked, `/?span=${span}`)
    const within = `created_at >= now() at time zone 'UTC' - interval '${interval}'`
    const questions: Record<string, string> = {
      messages: 'true',
      delivered: `final_status = 'delivered'`,
      recovered: `final_status = 'delivered' and retry_count > 0`,
      failed: `final_status = 'undelivered'`,
      'in-flight': `final_status in ('pending', 'submitting', 'retrying', 'sent')`,
      'in-doubt': `final_status = 'submitting' and created_at < now() at time zone 'UTC' - interval '30 s'`,
    }
    for (const [figure, condition] of Object.entries(questions)) {
      expect([figure, figureOf(page, figure)]).toEqual([
        figure,
        await truth(`count(*) filter (where ${within} and ${condition})`),
      ])
    }
    expect(figureOf(page, 'messages')).toBeGreaterThan(0)
  })
})

test('each target shows its value and whether it is met', async () => {
  const { text } = await get(masked, '/?span=30d')
  const [delivered, failed, recovered, failedAfterRetry, retries] = await Promise.all(
    [
      `final_status = 'delivered'`,
      `final_status = 'undelivered'`,
      `final_status = 'delivered' and retry_count > 0`,
      `final_status = 'undelivered' and retry_count > 0`,
      'retry_count > 0',
    ].map((condition) => truth(`count(*) filter (where ${condition})`)),
  )
  const target = (name: string): string =>
    new RegExp(`data-target="${name}">(.*?)</article>`, 's').exec(text)?.[1] ?? ''
  const percent = (part = 0, rest = 0): string => `${((100 * part) / (part + rest)).toFixed(1)} %`
  expect(target('delivered')).toContain(percent(delivered, failed))
  expect(target('delivered')).toContain('missed')
  expect(target('retry success')).toContain(percent(recovered, failedAfterRetry))
  expect(target('retry success')).toContain('missed')
  expect(retries).toBeGreaterThan(0)
  expect(target('average retries')).toContain('1.00')
  expect(target('average retries')).toContain('met')
})

test('each error code shows its meaning, policy and recoveries, and links to its page and its messages', async () => {
  const { text } = await get(masked, '/error-codes?span=7d')
  const row = (code: string): string =>
    new RegExp(`<tr data-code="${code}">(.*?)</tr>`, 's').exec(text)?.[1] ?? ''
  expect(row('30003')).toContain('The handset was unreachable')
  expect(row('30003')).toContain('2 retries: after 5 min, 10 min')
  expect(row('30003')).toMatch(/data-label="Messages">60</)
  expect(row('30003')).toMatch(/data-label="Recovered">20 /)
  expect(row('30006')).toContain('no retry')
  const page = await get(masked, unescapeHtml(/<a href="([^"]+)"/.exec(row('30003'))?.[1] ?? ''))
  expect(page.text).toMatch(
    /data-delay="240">.*data-label="Retries">40<.*data-label="Delivered">20<.*data-label="Share">50.0 %</s,
  )
  const other = await get(masked, '/error-codes/30006?span=7d')
  const href = unescapeHtml(/<a href="([^"]+)">All messages with/.exec(other.text)?.[1] ?? '')
  expect(idsOn(await get(masked, href))).toHaveLength(20)
})

const idsOn = ({ text }: Seen): number[] =>
  [...text.matchAll(/<td class="number"><a href="\/messages\/(\d+)">/g)].map(([, id]) => Number(id))

describe('the messages page', () => {
  test('lists every message exactly once across its pages', async () => {
    const ids: number[] = []
    for await (const page of pagesFrom(masked, '/messages')) ids.push(...idsOn(page))
    expect(ids).toHaveLength(await truth('count(*)'))
    expect(new Set(ids).size).toBe(ids.length)
  })

  test.each([
    ['?status=undelivered', 20],
    ['?status=failed-for-good', 20],
    ['?status=in-flight', 80],
    ['?number=0042', 1],
    ['?number=%2B1+(206)+555-0042', 1],
    ['?user=4&status=sent', null],
    ['?code=30006&number=12', null],
    ['?span=1h', null],
    ['?since=1h', null],
    ['?user=a-user-that-no-row-has', 0],
    ['?status=sent,undelivered', 40],
  ])('filters by %s', async (query, expected) => {
    let found = 0
    for await (const page of pagesFrom(masked, `/messages${query}`)) {
      expect(page.status).toBe(200)
      found += idsOn(page).length
    }
    if (expected === null) expect(found).toBeGreaterThan(0)
    else expect(found).toBe(expected)
  })

  test.each([
    '?status=bounced',
    '?status=constructor',
    '?since=0000-01-01T00:00',
    '?after=2026-02-30+10:00:00&after-id=5',
    '?code=30003x',
    "?number=';--",
    `?user=${'7'.repeat(256)}`,
    '?metadata=order',
    '?metadata=callback_key=x',
    '?since=2026-02-30T10:00',
    '?since=yesterday',
    '?until=2026-13-41T00:00',
    '?span=2y',
    '?after=yesterday&after-id=1',
    '?after=2026-07-01+12:00:00&after-id=x',
  ])('answers 400 to the invalid filter %s', async (query) => {
    expect(await get(masked, `/messages${query}`)).toMatchObject({
      status: 400,
      text: expect.stringContaining('Invalid search'),
    })
  })

  test('does not reveal a masked number digit by digit, only confirms a full number', async () => {
    const found = async (web: endpoint.Endpoint, number: string): Promise<number> =>
      idsOn(await get(web, `/messages?number=${number}`)).length
    const number = '12065550042'
    // More digits than the page shows, but not the full number.
    for (let length = 5; length < number.length; length += 1) {
      expect([length, await found(masked, number.slice(-length))]).toEqual([length, 0])
      expect([length, await found(masked, number.slice(0, length))]).toEqual([length, 0])
      expect([length, await found(open, number.slice(-length))]).toEqual([length, 1])
    }
    expect(await found(masked, number.slice(-4))).toBe(1)
    expect(await found(masked, number)).toBe(1)
  })

  test('finds a full number that an app stored without its plus sign', async () => {
    const insert = `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status)
                    values (1, '12065550300', 'outbound', 0, 'failed') returning id`
    const [row] = await database.query<{ id: number }>(insert)
    expect(idsOn(await get(masked, '/messages?number=%2B12065550300'))).toEqual([row?.id])
    await database.query('delete from sms_usage_logs where id = $1', [row?.id])
  })

  test('ignores repeated fields and fields with unknown names', async () => {
    expect((await get(masked, '/messages?status=sent&status=failed&constructor=1&__proto__=2')).status).toBe(
      200,
    )
  })

  test('finds a message by its id and by its sid', async () => {
    const id = await idOf(42)
    const [row] = await database.query<{ sid: string }>(
      'select twilio_message_sid as "sid" from sms_usage_logs where id = $1',
      [id],
    )
    for (const what of [`${id}`, ` ${row?.sid} `]) {
      const { status, headers } = await get(masked, `/messages/find?what=${encodeURIComponent(what)}`)
      expect([status, headers.get('Location')]).toEqual([303, `/messages/${id}`])
    }
    expect((await get(masked, '/messages/find?what=SMnothing')).status).toBe(404)
  })

  test.each([
    '/messages/0',
    '/messages/2000000000',
    '/messages/abc',
    '/messages/1e3',
    '/messages/999999999999999999',
  ])('%s is answered 404', async (path) => {
    expect((await get(masked, path)).status).toBe(404)
  })

  test('does not show an inbound message', async () => {
    expect((await get(masked, `/messages/${await idOf(9)}`)).status).toBe(404)
  })
})

describe('the page of one message', () => {
  test('shows its attempts with times, code and meaning, and the next step', async () => {
    const { text } = await get(masked, `/messages/${await idOf(25)}`)
    expect(text).toContain('First attempt')
    expect(text).toContain('<strong>30003</strong> The handset was unreachable')
    expect(text).toContain('2026-07-01 12:00:10')
    expect(text).toContain('Retry 1 is due: <time')
  })

  test.each([
    [1, 'it was delivered'],
    [2, 'it failed for good'],
    [3, 'The first attempt is due: a worker makes it'],
    [4, 'It is not sent again until its outcome is known'],
    [6, 'Twilio has it'],
    [7, 'it was canceled'],
  ])('explains the next step of message %d: %s', async (n, words) => {
    expect((await get(masked, `/messages/${await idOf(n)}`)).text).toContain(words)
  })
})

describe('personal data', () => {
  const pages = async (): Promise<string[]> => [
    '/messages',
    `/messages/${await idOf(2)}`,
    `/messages/${await idOf(2)}/retry`,
  ]

  test('is masked and hidden by default', async () => {
    for (const path of await pages()) {
      const { text, status } = await get(masked, path)
      expect(status).toBe(200)
      expect(text).not.toMatch(/\+1206555|alert/)
      expect(text).toContain('…0')
    }
  })

  test('is shown with DASHBOARD_SHOW_CONTENT, and a script in a text is escaped', async () => {
    for (const path of await pages()) {
      const { text } = await get(open, path)
      expect(text).toContain('+12065550')
      expect(text).not.toContain('<script>alert')
    }
    expect((await get(open, `/messages/${await idOf(2)}`)).text).toContain(
      '&lt;script&gt;alert(&quot;1&quot;)',
    )
  })
})

test('the queue page counts due, deferred and in-doubt attempts', async () => {
  const page = await get(masked, '/queue')
  expect(figureOf(page, 'due')).toBe(await truth(`count(*) filter (where final_status = 'pending')`))
  expect(figureOf(page, 'deferred')).toBe(await truth(`count(*) filter (where final_status = 'retrying')`))
  expect(figureOf(page, 'in-doubt')).toBe(
    await truth(
      `count(*) filter (where final_status = 'submitting' and created_at < now() at time zone 'UTC' - interval '30 s')`,
    ),
  )
})

test('the queue page lists the running processes and warns that no worker runs', async () => {
  // Each web process writes its row on first use of the database.
  await waitFor('both rows', async () => {
    const { text } = await get(masked, '/queue')
    return text.match(/data-role="web"/g)?.length === 2 && text.includes('No worker is running')
  })
})

test('every link and file of every page exists', async () => {
  const pages = [
    '/',
    '/error-codes',
    '/error-codes/30003',
    '/messages',
    '/queue',
    '/queue/pause',
    `/messages/${await idOf(5)}`,
    `/messages/${await idOf(5)}/cancel`,
  ]
  const all = new Set<string>()
  for (const path of pages) {
    const { text } = await get(masked, path)
    const links = [...text.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link = '']) => unescapeHtml(link))
    const own = links.filter((link) => link.startsWith('/'))
    for (const link of own.slice(0, 25)) all.add(link)
  }
  for (const link of all) expect([link, (await get(masked, link)).status]).toEqual([link, 200])
})

test('an unknown notice in the URL shows nothing', async () => {
  for (const notice of ['__proto__', 'constructor', 'x']) {
    const { status, text } = await get(masked, `/messages/1?notice=${notice}`)
    expect([status, text.includes('class="note"')]).toEqual([200, false])
  }
})

test('an error page has the style and the links of any other page', async () => {
  const { status, text } = await get(masked, '/messages/2000000000')
  expect(status).toBe(404)
  expect(text).toContain('href="/assets/dashboard.css"')
  expect((await get(masked, '/messages/find?what=%00')).status).toBe(400)
  expect((await get(masked, '/messages?status=constructor')).text).toContain('href="/assets/dashboard.css"')
})

/** Without the link that skips the navigation of the same page. */
const linksToPages = (text: string): string[] =>
  [...text.matchAll(/(?:href|src|action)="([^"#][^"]*)"/g)].map(([, link = '']) => unescapeHtml(link))

test('behind a proxy that removes a prefix, links include the prefix', async () => {
  const own = await endpoint.startEndpoint(database.url, {
    ...CREDENTIALS,
    PUBLIC_BASE_URL: 'https://example.com/sms',
  })
  const { text } = await get(own, '/messages')
  await own.stop()
  const links = linksToPages(text)
  expect(links).toContain('/sms/messages')
  expect(links.filter((link) => !link.startsWith('/sms/'))).toEqual([])
})

test('an unknown time range is answered 400', async () => {
  expect((await get(masked, '/?span=1y')).status).toBe(400)
})

test.each([
  ['https://sms.example.com/sms', '/sms'],
  ['https://sms.example.com', '/sms'],
  // A proxy removes the first part of the path.
  ['https://sms.example.com/api/sms', '/api/sms'],
])('mounted under /sms and reached at %s, every link starts with %s', async (publicBaseUrl, base) => {
  const app = express()
  const options = { databaseUrl: database.url, dashboard: { username: 'me', password: 'and nobody else' } }
  const env = {
    PUBLIC_BASE_URL: publicBaseUrl,
    TWILIO_ACCOUNT_SID: endpoint.ACCOUNT_SID,
    TWILIO_AUTH_TOKEN: endpoint.AUTH_TOKEN,
  }
  const runtime = openRuntime({ ...options, logger: silentLogger }, env, ['DATABASE_URL'])
  const own = createHttpApp(runtime)
  const server = app.use('/sms', own).listen(0)
  try {
    const { port } = server.address() as AddressInfo
    const at = { url: `http://localhost:${port}` }
    const signedIn = { Authorization: basic('me', 'and nobody else') }
    const { text, status, headers } = await get(at, '/sms/messages', signedIn)
    expect(status).toBe(200)
    expect(headers.get('Set-Cookie')).toContain(`Path=${base};`)
    const links = linksToPages(text)
    expect(links.filter((link) => !link.startsWith(`${base}/`))).toEqual([])
    for (const link of links.filter((each) => !each.endsWith('/find')).slice(0, 15)) {
      const path = link.slice(base.length - '/sms'.length)
      expect([link, (await get(at, path, signedIn)).status]).toEqual([link, 200])
    }
  } finally {
    await new Promise((resolve) => server.close(resolve))
    await own.close()
  }
})

test('the overview says that an allow-list is on, without its numbers', async () => {
  const note = 'RECIPIENT_ALLOWLIST is set: messages to all other recipients are canceled'
  const listed = await endpoint.startEndpoint(database.url, {
    ...CREDENTIALS,
    RECIPIENT_ALLOWLIST: '+12065550199',
  })
  try {
    const { text } = await get(listed, '/')
    expect(text).toContain(note)
    expect(text).not.toContain('5550199')
  } finally {
    await listed.stop()
  }
  expect((await get(masked, '/')).text).not.toContain(note)
})

test('a message that waits for its send window shows the window, the reason and the time', async () => {
  const id = await idOf(3)
  await database.query(
    `update sms_usage_logs
        set next_retry_at = now() + interval '9 h', error_message = 'It waits for its send window, 08:00-21:00 in UTC',
            sms_metadata = sms_metadata || '{"send_window": "08:00-21:00", "time_zone": "UTC"}',
            final_status = 'pending', retry_count = 0
      where id = $1`,
    [id],
  )
  const { text } = await get(masked, `/messages/${id}`)
  expect(text).toContain('<dt>Send window</dt><dd>08:00-21:00 in UTC</dd>')
  expect(text).toContain('It waits for its send window, 08:00-21:00 in UTC')
  expect(text).toMatch(/<dt>Next step<\/dt><dd>The first attempt is due: .*in 9 h/)
})
