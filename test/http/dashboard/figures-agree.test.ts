// The funnel, the trend, the list of codes, the page of a code, the CSV file and `sms-retry stats` show the same figures for
// the same random messages, and these are the ones of a count in memory.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { countFailures } from '../../../src/db/failures.ts'
import { countMessages } from '../../../src/db/overview.ts'
import type { Database } from '../../../src/postgres/pool.ts'
import { open } from '../../db/original-table.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import * as endpoint from '../endpoint.ts'
import { createRandom } from '../../../src/evidence/random-draws.ts'
import { CREDENTIALS, figureOf, get, type Seen } from './operator.ts'

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9))
const random = createRandom(SEED)
const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T

interface RandomAttempt {
  readonly number: number
  readonly status: string
  readonly error_code?: number | null
  readonly segments?: number
  readonly times?: Readonly<Record<string, string>>
}

interface RandomMessage {
  readonly n: number
  readonly status: string
  readonly attempts: readonly RandomAttempt[]
  readonly ageSeconds: number
}

const CODES = [30001, 30003, 30005, 30007, 30008, 21610, 63038, null]
const isFailed = ({ status }: RandomAttempt): boolean => status === 'undelivered' || status === 'failed'

/** Old rows have no times, no segments, or an error code that is null. */
function randomAttempt(number: number, isLast: boolean): RandomAttempt {
  const status = isLast
    ? pick(['delivered', 'read', 'undelivered', 'failed', 'sent', 'pending', 'canceled'])
    : pick(['undelivered', 'failed'])
  const code = pick(CODES)
  const time = new Date(Date.UTC(2026, 5, 1) + number * 300_000).toISOString()
  return {
    number,
    status,
    ...(status === 'undelivered' || status === 'failed' ? (random() < 0.9 ? { error_code: code } : {}) : {}),
    ...(random() < 0.7 ? { segments: pick([1, 2, 3]) } : {}),
    ...(random() < 0.8 ? { times: { submitting: time, [status]: time } } : {}),
  }
}

/** Every age is far from the edges of the time ranges, so that a slow test counts the same messages. */
function randomMessage(n: number): RandomMessage {
  const length = Math.floor(random() * 5)
  const attempts = Array.from({ length }, (_, number) => randomAttempt(number, number === length - 1))
  const ageSeconds = pick([0.5, 5, 20, 30, 100, 160, 300, 700]) * 3_600
  const status = pick([
    ...['delivered', 'read', 'undelivered', 'failed', 'expired', 'canceled', 'retrying', 'pending'],
    ...['accepted', 'sent', 'undelivered', 'failed', 'delivered'],
  ])
  return { n, status, attempts, ageSeconds }
}

const messages = Array.from({ length: 700 }, (_, n) => randomMessage(n))

let database: TestDatabase
let own: Database
let web: endpoint.Endpoint

beforeAll(async () => {
  process.stderr.write(`The seed of the random messages is ${SEED}.\n`)
  database = await createTestDatabase()
  await database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, success, retry_count, created_at, twilio_message_sid, sms_metadata)
     select 1, '+1206' || lpad(m ->> 'n', 7, '0'), 'outbound', 5, m ->> 'status', true, greatest(jsonb_array_length(m -> 'attempts') - 1, 0),
            now() at time zone 'UTC' - make_interval(secs => (m ->> 'ageSeconds')::float8), 'SM' || md5(m ->> 'n'),
            jsonb_build_object('attempts', m -> 'attempts')
       from jsonb_array_elements($1::jsonb) as m`,
    [JSON.stringify(messages)],
  )
  own = open(database)
  web = await endpoint.startEndpoint(database.url, CREDENTIALS)
})

afterAll(async () => {
  await own.close()
  await web.stop()
  await database.drop()
})

const SPANS = [
  ['1h', 3_600],
  ['24h', 86_400],
  ['7d', 7 * 86_400],
  ['30d', 30 * 86_400],
] as const

const DELIVERED = ['delivered', 'read']
const LOST = ['undelivered', 'failed', 'expired']
const sumOf = (values: Iterable<number>): number => [...values].reduce((sum, value) => sum + value, 0)

/** The page's figures whose key begins with the prefix. */
function sumOfFigures(page: Seen, prefix: string): number {
  const keys = [...page.text.matchAll(/data-figure="([\w-]+)"/g)].map(([, key = '']) => key)
  return sumOf(keys.filter((key) => key.startsWith(prefix)).map((key) => figureOf(page, key)))
}

/** The messages of the CSV file. No field of these messages has a line break. */
async function countCsv(query: string): Promise<number> {
  const { status, text } = await get(web, `/messages.csv?${query}`)
  expect(status).toBe(200)
  return text.split('\r\n').length - 2
}

const isDelivered = ({ status }: RandomMessage): boolean => DELIVERED.includes(status)
const isLost = ({ status }: RandomMessage): boolean => LOST.includes(status)
const retriesOf = ({ attempts }: RandomMessage): number => Math.max(attempts.length - 1, 0)

test.each(SPANS)('the funnel and the trend of %s count each message once', async (span, seconds) => {
  const all = messages.filter(({ ageSeconds }) => ageSeconds < seconds)
  const count = (isCounted: (message: RandomMessage) => boolean): number => all.filter(isCounted).length
  const truth = {
    messages: all.length,
    delivered: count(isDelivered),
    'at-first': count((message) => isDelivered(message) && retriesOf(message) === 0),
    recovered: count((message) => isDelivered(message) && retriesOf(message) > 0),
    failed: count(isLost),
    canceled: count(({ status }) => status === 'canceled'),
    'in-flight': count(({ status }) => ['retrying', 'pending', 'accepted', 'sent'].includes(status)),
  }
  const page = await get(web, `/?span=${span}`)
  // A row without messages is left out.
  const shown = Object.keys(truth).map((key) => [key, figureOf(page, key) || 0])
  expect(Object.fromEntries(shown)).toEqual(truth)
  expect(sumOfFigures(page, 'lost-')).toBe(truth.failed)
  expect(sumOfFigures(page, 'retry-')).toBe(truth.recovered)
  const parts = [...page.text.matchAll(/: ([\d,]+) messages, [^,]* delivered, ([\d,]+) lost<\/title>/g)]
  // The chart is drawn twice: for wide and for narrow screens.
  expect(sumOf(parts.map(([, all = '']) => Number(all)))).toBe(2 * truth.messages)
  expect(sumOf(parts.map(([, , lost = '']) => Number(lost)))).toBe(2 * truth.failed)
  for (const [key, status] of [
    ['delivered', 'delivered'],
    ['failed', 'failed-for-good'],
    ['canceled', 'canceled'],
    ['in-flight', 'in-flight'],
  ] as const)
    expect([key, await countCsv(`span=${span}&status=${status}`)]).toEqual([key, truth[key]])
  const stats = await countMessages(own, seconds)
  expect(stats.deliveredAtFirst + stats.deliveredByRetry).toBe(truth.delivered)
  expect(stats.failed).toBe(truth.failed)
})

interface CodeTruth {
  lost: number
  messages: number
  recovered: number
  retries: number
  segments: number
}

/** The index on the time has no message that neither failed in the end nor was retried. */
const isTroubled = (message: RandomMessage): boolean =>
  retriesOf(message) > 0 || [...LOST, 'canceled', 'retrying'].includes(message.status)

function codeTruth(all: readonly RandomMessage[], code: number | null): CodeTruth {
  const truth = { lost: 0, messages: 0, recovered: 0, retries: 0, segments: 0 }
  for (const message of all) {
    const codes = message.attempts.map(({ error_code: each }) => each ?? null)
    const latest = codes.findLast((each) => each !== null) ?? null
    if (isLost(message) && latest === code && (code !== null || message.status !== 'expired')) truth.lost += 1
    const places = message.attempts.flatMap((attempt, i) =>
      isFailed(attempt) && codes[i] === code ? [i] : [],
    )
    if (!isTroubled(message) || places.length === 0) continue
    truth.messages += 1
    if (isDelivered(message)) truth.recovered += 1
    for (const place of places) {
      const next = message.attempts[place + 1]
      if (next === undefined || next.status === 'pending') continue
      truth.retries += 1
      truth.segments += next.segments ?? 0
    }
  }
  return truth
}

const firstNumber = (text: string): number => Number((/^[\d,]+/.exec(text)?.[0] ?? '0').replaceAll(',', ''))

test.each(SPANS)('the list of codes, their pages and stats agree on %s', async (span, seconds) => {
  const all = messages.filter(({ ageSeconds }) => ageSeconds < seconds)
  const { text } = await get(web, `/error-codes?span=${span}`)
  const stats = await countFailures(own, seconds)
  for (const code of CODES) {
    const name = `${code ?? 'none'}`
    const truth = codeTruth(all, code)
    const [, row = ''] = new RegExp(`<tr data-code="${name}">(.*?)</tr>`, 's').exec(text) ?? []
    const cells = [...row.matchAll(/data-label="([\w ]+)">(.*?)<\/td>/gs)].map(
      ([, label = '', cell = '']) =>
        [label.toLowerCase(), firstNumber(cell.replaceAll(/<[^>]*>/g, ''))] as const,
    )
    const ofList = Object.fromEntries(cells)
    const page = await get(web, `/error-codes/${name}?span=${span}`)
    expect(page.status).toBe(200)
    const ofStats = stats.codes.find((each) => each.code === code)
    for (const key of ['lost', 'messages', 'recovered', 'retries', 'segments'] as const) {
      expect([name, key, ofList[key] ?? 0]).toEqual([name, key, truth[key]])
      expect([name, key, figureOf(page, key) || 0]).toEqual([name, key, truth[key]])
    }
    const { messages: many = 0, recovered = 0, cost } = ofStats ?? {}
    expect([name, many, recovered, cost?.retries ?? 0, cost?.segments ?? 0]).toEqual([
      ...[name, truth.messages, truth.recovered, truth.retries, truth.segments],
    ])
    if (code !== null)
      expect([name, await countCsv(`span=${span}&code=${name}`)]).toEqual([name, truth.messages])
  }
})
