// The rows of the messages page, and the links from a message to Twilio's console.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, get, unescapeHtml } from './operator.ts'

let database: TestDatabase
let masked: endpoint.Endpoint
let open: endpoint.Endpoint

beforeAll(async () => {
  database = await createTestDatabase()
  masked = await endpoint.startEndpoint(database.url, CREDENTIALS)
  open = await endpoint.startEndpoint(database.url, { ...CREDENTIALS, DASHBOARD_SHOW_CONTENT: 'true' })
})

afterAll(async () => {
  await masked.stop()
  await open.stop()
  await database.drop()
})

/** @returns its id */
async function addMessage(metadata: object, attempts: readonly object[] = []): Promise<number> {
  const [row] = await database.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, twilio_message_sid, sms_metadata)
     values (1, '+12065550142', 'outbound', 5, 'delivered', 'SM' || md5(random()::text), $1::jsonb) returning id`,
    [JSON.stringify({ ...metadata, attempts })],
  )
  return row?.id ?? 0
}

/** The texts of the last cell of the message's row. */
async function shownMetadata(web: endpoint.Endpoint, id: number): Promise<string[]> {
  const { text } = await get(web, '/messages')
  const [row = ''] =
    new RegExp(`<tr><td class="number"><a href="/messages/${id}">.*?</tr>`, 's').exec(text) ?? []
  const [, cell = ''] = /<td class="line values">(.*?)<\/td>/s.exec(row) ?? []
  return [...cell.matchAll(/<span>(.*?)<\/span>/g)].map(([, value = '']) => unescapeHtml(value))
}

describe("the app's metadata on the messages page", () => {
  test.each([
    ['no metadata', {}, []],
    ['a few values', { order: 1001, kind: 'receipt' }, ['kind=receipt', 'order=1001']],
    ['many values', { a: 1, b: true, c: null, d: '4' }, ['a=1', 'b=true', 'and 2 more']],
    ['nested values last', { a: { b: 1 }, order: 7 }, ['order=7', 'a={"b":1}']],
    ['a long value', { note: 'x'.repeat(100) }, [`note=${'x'.repeat(18)}…`]],
    ['markup', { note: '<b>' }, ['note=<b>']],
  ])('shows %s in short form', async (_what, metadata, expected) => {
    expect(await shownMetadata(masked, await addMessage(metadata))).toEqual(expected)
  })

  test('hides the number of the recipient, and shows it with DASHBOARD_SHOW_CONTENT', async () => {
    const id = await addMessage({ phone: '+12065550142' })
    expect(await shownMetadata(masked, id)).toEqual(['phone=…0142'])
    expect(await shownMetadata(open, id)).toEqual(['phone=+12065550142'])
  })

  test('shows none of the keys that belong to sms-retry', async () => {
    const id = await addMessage({ idempotency_key: 'k', callback_key: 'x', deadline: '2026-07-01T12:00:00Z' })
    expect(await shownMetadata(masked, id)).toEqual([])
  })
})

test('a user that is the number of the recipient is masked on every page and in the CSV file', async () => {
  const id = await addMessage({})
  await database.query('alter table sms_usage_logs alter user_id type text')
  try {
    for (const user of ['+12065550142', '12065550142', '206-555-0142', '7']) {
      await database.query('update sms_usage_logs set user_id = $1 where id = $2', [user, id])
      for (const path of ['/messages', `/messages/${id}`, '/messages.csv']) {
        const shown = user === '7' ? '7' : '…0142'
        expect((await get(masked, path)).text).toMatch(new RegExp(`[>,]${shown}[<,]`))
        expect((await get(masked, path)).text).not.toMatch(/555-?0142/)
        expect((await get(open, path)).text).toContain(user)
      }
    }
  } finally {
    await database.query('alter table sms_usage_logs alter user_id type integer using 1')
  }
})

test.each([
  ['?user=77', true],
  ['?number=5550142', true],
  ['?status=delivered', false],
])('says of a search %s that its time range matters: %s', async (query, says) => {
  const { text } = await get(masked, `/messages${query}`)
  expect(text.includes('A shorter range is faster.')).toBe(says)
})

test('the form has every filter of the link, in a form that the browser accepts', async () => {
  const path = '/messages?status=failed,undelivered&since=24h&until=2026-07-01T12:00:30%2B02:00&code=30003'
  const { text } = await get(masked, path)
  const fieldOf = (name: string): string | undefined =>
    new RegExp(`<input[^>]* name="${name}" value="([^"]*)"`).exec(text)?.[1]
  expect(/<option value="([^"]*)" selected>/.exec(text)?.[1]).toBe('failed,undelivered')
  expect(fieldOf('code')).toBe('30003')
  expect(fieldOf('until')).toBe('2026-07-01T10:00:30')
  const since = fieldOf('since') ?? ''
  expect(since).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
  expect(Math.abs(Date.parse(`${since}Z`) - (Date.now() - 86_400_000))).toBeLessThan(60_000)
  const plain = await get(masked, '/messages?since=2026-07-01T12:00&span=7d')
  expect(plain.text).toContain('name="since" value="2026-07-01T12:00"')
  expect(plain.text).toContain('name="until" value=""')
})

describe("the link of an attempt to Twilio's console", () => {
  const SID = `SM${'0a'.repeat(16)}`
  const attempt = (sid: string): object => ({ number: 0, sid, status: 'delivered', times: {} })
  const linkOn = async (web: endpoint.Endpoint, id: number): Promise<string | undefined> =>
    /<a href="(https:[^"]*)"[^>]*>/.exec((await get(web, `/messages/${id}`)).text)?.[0]

  test.each([SID, SID.replace('SM', 'MM')])('opens the log at %s, without a referrer', async (sid) => {
    expect(await linkOn(masked, await addMessage({}, [attempt(sid)]))).toBe(
      `<a href="https://console.twilio.com/us1/monitor/logs/sms?pageSize=50&sid=${sid}" target="_blank" rel="noreferrer">`,
    )
  })

  test.each([
    'SM123',
    `CA${'0a'.repeat(16)}`,
    `${SID}&x=1`,
    'javascript:alert(1)',
  ])('is missing for %s, which is no SID of a message', async (sid) => {
    const id = await addMessage({}, [attempt(sid)])
    expect(await linkOn(masked, id)).toBeUndefined()
    expect(unescapeHtml((await get(masked, `/messages/${id}`)).text)).toContain(sid)
  })

  test('is missing if attempts go to a simulator, whose SIDs Twilio does not know', async () => {
    const simulated = await endpoint.startEndpoint(database.url, {
      ...CREDENTIALS,
      TWILIO_API_BASE_URL: 'http://127.0.0.1:4010',
    })
    const id = await addMessage({}, [attempt(SID)])
    expect(await linkOn(simulated, id)).toBeUndefined()
    expect((await get(simulated, `/messages/${id}`)).text).toContain(SID)
    await simulated.stop()
  })
})

test('a browser that is not signed in receives a page, another client a sentence', async () => {
  const browser = await get(masked, '/', { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' })
  expect([browser.status, browser.headers.get('Content-Type')]).toEqual([401, 'text/html; charset=utf-8'])
  expect(browser.text).toContain('<h1>sms-retry</h1>')
  const script = await get(masked, '/', { Accept: '*/*' })
  expect([script.status, script.text]).toEqual([
    401,
    'Sign in with DASHBOARD_USERNAME and DASHBOARD_PASSWORD\n',
  ])
})
