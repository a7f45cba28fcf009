// The funnel of the overview, the page of error codes and the page of one code, compared with plain SQL.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { MAX_LOST } from '../../../src/db/lost.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, figureOf, get } from './operator.ts'

let database: TestDatabase
let web: endpoint.Endpoint

/**
 * Attempts of one message, the first at 12:00: `30003 300 30007` fails with 30003, is retried 300 s later and fails with
 * 30007; `ok` is delivered, `-` has no code.
 */
async function insert(
  messages: number,
  status: string,
  history: string,
  { ageHours = 1, number = '+1206555', segments = [] as (number | null)[] } = {},
): Promise<void> {
  const words = history === '' ? [] : history.split(' ')
  let seconds = 0
  const attempts = words.flatMap((word, i) => {
    if (i % 2 === 1) {
      seconds += Number(word)
      return []
    }
    const at = (offset: number): string =>
      new Date(Date.parse('2026-07-01T12:00:00.000Z') + offset * 1000).toISOString()
    const result = word === 'ok' ? 'delivered' : word === 'pending' ? 'pending' : 'undelivered'
    return [
      {
        number: i / 2,
        status: result,
        error_code: /^\d+$/.test(word) ? Number(word) : undefined,
        ...billed(segments[i / 2] ?? null),
        times: result === 'pending' ? {} : { submitting: at(seconds), [result]: at(seconds) },
      },
    ]
  })
  await database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, success, retry_count, created_at, sms_metadata)
     select 1, $2::text || lpad(n::text, 4, '0'), 'outbound', 5, $3::text, $3::text = 'delivered', $4, now() at time zone 'UTC' - make_interval(hours => $5), $6::jsonb
       from generate_series(1, $1::integer) as n`,
    [messages, number, status, Math.max(attempts.length - 1, 0), ageHours, JSON.stringify({ attempts })],
  )
}

const billed = (segments: number | null): object =>
  segments === null ? {} : { segments, price: segments * 0.0083, price_unit: 'USD' }

beforeAll(async () => {
  database = await createTestDatabase()
  web = await endpoint.startEndpoint(database.url, CREDENTIALS)
  await insert(40, 'delivered', 'ok')
  await insert(9, 'delivered', '30003 300 ok', { segments: [null, 2] })
  await insert(3, 'delivered', '30003 300 30003 600 ok', { number: '+4477009', segments: [1, 1, null] })
  await insert(1, 'delivered', '30003 60 - 60 - 60 - 60 ok')
  await insert(17, 'undelivered', '30003 300 30003 600 30003', { number: '+4477009', segments: [1, 3, 3] })
  await insert(18, 'undelivered', '30007')
  await insert(6, 'failed', '30003 300 30006')
  await insert(5, 'failed', '21610')
  await insert(4, 'failed', '30005')
  await insert(2, 'failed', '30034')
  await insert(2, 'expired', '30001 60 pending')
  await insert(1, 'failed', '-')
  await insert(3, 'expired', '')
  await insert(7, 'canceled', '')
  await insert(30, 'undelivered', '30003', { ageHours: 30 })
  await insert(12, 'undelivered', '30007', { ageHours: 30 })
})

afterAll(async () => {
  expect(web.log.filter(({ level }) => level === 'error')).toEqual([])
  await web.stop()
  await database.drop()
})

const codesOf = (text: string): string[] =>
  [...text.matchAll(/<tr data-code="(\w+)">/g)].map(([, code = '']) => code)

const rowOf = (text: string, code: string): Record<string, string> => {
  const [, row = ''] = new RegExp(`<tr data-code="${code}">(.*?)</tr>`, 's').exec(text) ?? []
  const cells = row.matchAll(/data-label="([\w ]+)">(.*?)<\/td>/gs)
  return Object.fromEntries(
    [...cells].map(([, label = '', cell = '']) => [label, cell.replaceAll(/<[^>]*>/g, '').trim()]),
  )
}

describe('the funnel of the overview', () => {
  test('shows how many messages each retry recovered, and how many each code lost', async () => {
    const page = await get(web, '/?span=24h')
    const figures = Object.fromEntries(
      [...page.text.matchAll(/data-figure="([\w-]+)"/g)].map(([, key = '']) => [key, figureOf(page, key)]),
    )
    expect(figures).toEqual({
      ...{
        messages: 118,
        delivered: 53,
        'at-first': 40,
        recovered: 13,
        'retry-1': 9,
        'retry-2': 3,
        'retry-4': 1,
      },
      ...{
        failed: 58,
        'lost-30007': 18,
        'lost-30003': 17,
        'lost-30006': 6,
        'lost-21610': 5,
        'lost-30005': 4,
      },
      ...{ 'lost-other': 4, 'lost-none': 1, 'lost-expired': 3, canceled: 7, 'in-flight': 0, 'in-doubt': 0 },
    })
  })

  test('shows one delivered percentage, that of the target', async () => {
    const { text } = await get(web, '/?span=24h')
    const percent = ((100 * 53) / (53 + 58)).toFixed(1)
    const [, card = ''] = /data-target="delivered">(.*?)<\/article>/s.exec(text) ?? []
    const [, figure = ''] = /data-figure="delivered">(.*?)<\/div>/s.exec(text) ?? []
    expect(card).toContain(`${percent} %`)
    expect(figure).toContain(`${percent} % of the known outcomes`)
    expect(text).not.toContain(`${((100 * 53) / 118).toFixed(1)} %`)
  })

  test('warns of messages in doubt, with a link to them', async () => {
    await database.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, created_at)
       values (77, '+12065550100', 'outbound', 5, 'submitting', now() at time zone 'UTC' - interval '10 min')`,
    )
    const { text } = await get(web, '/?span=24h')
    await database.query('delete from sms_usage_logs where user_id = 77')
    expect(text).toMatch(
      /class="[^"]*warning[^"]*" data-figure="in-doubt">.*?href="\/messages\?status=submitting&amp;span=24h">1</s,
    )
    expect((await get(web, '/?span=24h')).text).not.toMatch(/class="[^"]*warning/)
  })

  test('has the same number of lost messages as its codes, also after a message of an earlier day failed', async () => {
    const lostOf = async (): Promise<number[]> => {
      const page = await get(web, '/?span=30d')
      const reasons = [...page.text.matchAll(/data-figure="(lost-[\w-]+)"/g)].map(([, key = '']) => key)
      const sum = reasons.reduce((all, reason) => all + figureOf(page, reason), 0)
      return ['failed', 'messages', 'in-flight'].map((key) => figureOf(page, key)).concat(sum)
    }
    await insert(3, 'sent', '30003 60 -', { ageHours: 24 * 5, number: '+4998765' })
    const [lost = 0, messages, inFlight = 0] = await lostOf()
    await database.query(
      `update sms_usage_logs set final_status = 'undelivered', success = false where phone_number like '+4998765%'`,
    )
    const after = await lostOf()
    await database.query(`delete from sms_usage_logs where phone_number like '+4998765%'`)
    expect(after).toEqual([lost + 3, messages, inFlight - 3, lost + 3])
  })

  test('stands beside a chart with a title, a description and a table of its figures', async () => {
    const { text } = await get(web, '/?span=24h')
    expect(text.match(/<title id="[\w-]+">Messages of the last 24 hours<\/title><desc id="/g)).toHaveLength(2)
    // Scripts convert the times of a table to the browser's zone, and not those of a picture.
    expect(text.match(/<text class="tick"[^>]*>UTC<\/text>/g)).toHaveLength(2)
    const parts = [...text.matchAll(/class="hit"[^>]*><title>([^:]*:[^:]*):/g)].map(([, time]) => time)
    expect(parts).toHaveLength(50)
    for (const time of parts) expect(time).toMatch(/^\d{4}-\d\d-\d\d \d\d:00 UTC$/)
    const ids = [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const [, named = ''] of text.matchAll(/aria-labelledby="([^"]+)"/g))
      expect(ids).toEqual(expect.arrayContaining(named.split(' ')))
    const [, head = ''] = /<details>.*?<thead>(.*?)<\/thead>/s.exec(text) ?? []
    expect([...head.matchAll(/<th[^>]*>([^<]*)/g)].map(([, name]) => name)).toEqual([
      ...['From', 'Messages', 'Delivered', 'Delivered share', 'Lost'],
      ...['30007', '30003', '30006', '21610', '30005', 'Other'],
    ])
    expect(text).not.toMatch(/ style=/)
  })
})

describe('the page of error codes', () => {
  test('has the code that loses most first, with its cost and its change', async () => {
    const { text } = await get(web, '/error-codes')
    expect(codesOf(text)).toEqual(['30007', '30003', '30006', '21610', '30005', '30001', '30034', 'none'])
    expect(rowOf(text, '30003')).toMatchObject({
      ...{ Lost: '17', Change: '−13', Messages: '36' },
      Recovered: '13 36.1 %',
      // 9 + 6 + 1 + 34 + 6; of 9 and 34 retries, and of 3 of the 6, the segments are known.
      Retries: '56',
      Segments: '123 10 retries unknown',
      // 123 / 46 segments for each of 56 retries, which recovered 13 messages.
      'Per recovered': '11.5 0.0956 USD',
    })
    expect(text).toContain('A segment costs 0.00830 USD on average, by the price of ')
    expect(rowOf(text, '30007')).toMatchObject({ Lost: '18', Change: '+6', Retries: '0', Segments: '0' })
    expect(rowOf(text, '30001')).toMatchObject({ Lost: '2', Messages: '2', Retries: '0' })
    expect(rowOf(text, 'none')).toMatchObject({ Lost: '1', Messages: '2', Segments: '– 3 retries unknown' })
  })

  test('has a sparkline whose values add up to the lost messages', async () => {
    const { text } = await get(web, '/error-codes?span=7d')
    const [, values = ''] = /data-code="30003">.*?aria-label="Lost over time: ([\d, ]+)"/s.exec(text) ?? []
    expect(values.split(', ').reduce((sum, value) => sum + Number(value), 0)).toBe(47)
    expect(values.split(', ')).toHaveLength(29)
  })

  test.each([
    'lost',
    'change',
    'messages',
    'recovered',
    'retries',
    'segments',
  ])('is sorted by %s on request, and keeps the order in its links', async (sort) => {
    const label = `${sort[0]?.toUpperCase()}${sort.slice(1)}`
    const { text } = await get(web, `/error-codes?span=7d&sort=${sort}`)
    const values = codesOf(text).map((code) =>
      Number(rowOf(text, code)[label]?.split(' ')[0]?.replace('−', '-').replace('±', '').replace('–', '0')),
    )
    expect(values).toEqual(values.toSorted((one, other) => other - one))
    expect(text).toContain(`aria-sort="descending"><a href="/error-codes?span=7d&sort=${sort}">`)
    expect(text).toContain(`href="/error-codes?span=24h&amp;sort=${sort}"`)
  })

  test.each([
    '?sort=constructor',
    '?sort=',
    '?sort=lost&sort=lost',
    "?sort=lost';--",
    '?span=2y',
    '?span=1h&span=1h',
  ])('answers 400 to %s', async (query) => {
    expect((await get(web, `/error-codes${query}`)).status).toBe(400)
  })
})

describe('the page of one code', () => {
  test('shows its figures, meaning and policy', async () => {
    const page = await get(web, '/error-codes/30003?span=24h')
    expect(page.status).toBe(200)
    expect(page.text).toContain('The handset was unreachable')
    expect(page.text).toContain('Policy: 2 retries: after 5 min, 10 min')
    expect(page.text).toContain('15 min after the first failure')
    for (const [figure, value] of Object.entries({
      lost: 17,
      messages: 36,
      recovered: 13,
      retries: 56,
      segments: 123,
    }))
      expect([figure, figureOf(page, figure)]).toEqual([figure, value])
    expect(page.text).toContain('−13 from the 24 hours before')
    expect(page.text).toContain('10 unknown')
    expect(page.text).toMatch(/data-figure="cost">.*?11\.5 <span class="quiet">0\.0956 USD</s)
  })

  test('shows the success of retries by delay, with intervals', async () => {
    const { text } = await get(web, '/error-codes/30003')
    const [, row = ''] = /<tr data-delay="240">(.*?)<\/tr>/s.exec(text) ?? []
    // 9 + 3 + 17 + 6 retries after 300 s, 9 of them delivered.
    expect(row).toContain('data-label="Retries">35<')
    expect(row).toContain('data-label="Delivered">9<')
    expect(row).toContain('data-label="90 % interval">16 to 39 %<')
    expect(text).toMatch(/<tr data-delay="480">.*?data-label="Retries">20<.*?data-label="Delivered">3</s)
  })

  test('shows country prefixes and hours, and masks the numbers of its newest messages', async () => {
    const { text } = await get(web, '/error-codes/30003')
    expect(text).toMatch(/data-prefix="\+44">.*?United Kingdom.*?data-label="Messages">20</s)
    expect(text).toMatch(/data-prefix="\+1">.*?North America.*?data-label="Messages">16</s)
    expect(text).toMatch(/data-hour="12">.*?<span class="number">\d+</s)
    expect(text).not.toMatch(/\+1206|\+4477/)
    expect(text.match(/<td>…\d{4}<\/td>/g)).toHaveLength(10)
  })

  test('exists for failures without a code, and for codes that did not occur', async () => {
    const none = await get(web, '/error-codes/none')
    expect(none.text).toContain('Twilio gave no error code')
    expect(figureOf(none, 'lost')).toBe(1)
    const other = await get(web, '/error-codes/30022?span=1h')
    expect([other.status, figureOf(other, 'messages')]).toEqual([200, 0])
    expect(other.text).toContain('No attempt failed this way in the last hour.')
  })

  test.each([
    'abc',
    '0',
    '030003',
    '-30003',
    '3e4',
    '30003.5',
    '99999999999999999999',
    'constructor',
    '%27--',
    '30003%00',
  ])('answers 404 to %s', async (code) => {
    expect((await get(web, `/error-codes/${code}`)).status).toBe(404)
  })

  test('answers 400 to an unknown time range, and 404 to a longer path', async () => {
    expect((await get(web, '/error-codes/30003?span=2y')).status).toBe(400)
    expect((await get(web, '/error-codes/30003/more')).status).toBe(404)
  })
})

test('the pages say so if only the newest lost messages are counted by code', async () => {
  await insert(MAX_LOST, 'failed', '30008', { ageHours: 0 })
  const overview = await get(web, '/?span=24h')
  await database.query(
    `delete from sms_usage_logs where sms_metadata #>> '{attempts,0,error_code}' = '30008'`,
  )
  expect(overview.text).toContain('newest 2,000 lost messages')
  expect(figureOf(overview, 'failed')).toBe(MAX_LOST + 58)
  expect(figureOf(overview, 'lost-unread')).toBe(58)
})
