// The advice on the page of a code: read in the background, the same as `sms-retry policy --advise` gives.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { readHistory } from '../../../src/db/read-history.ts'
import { createRetryPolicy } from '../../../src/delivery/retry-policy.ts'
import { advise } from '../../../src/evidence/advise.ts'
import { adviseBetweenRequests } from '../../../src/http/dashboard/policy-advice.ts'
import { open } from '../../db/original-table.ts'
import { historyWith, pathsWith } from '../../evidence/build-history.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { waitFor } from '../../support/wait-for.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, get } from './operator.ts'

let database: TestDatabase
let web: endpoint.Endpoint

/** Messages whose attempts fail with the code. Each retry is made so many seconds after the failure; the last has `end`. */
async function insert(messages: number, code: number, delays: readonly number[], end: string): Promise<void> {
  let seconds = -10_000
  const at = (): string => new Date(Date.now() + seconds * 1000).toISOString()
  const attempts = [0, ...delays].map((delay, number) => {
    seconds += delay
    const submitting = at()
    seconds += 1
    const status = number === delays.length ? end : 'undelivered'
    const error = status === 'delivered' ? {} : { error_code: code }
    return { number, status, ...error, times: { submitting, [status]: at() } }
  })
  await database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, success, retry_count, created_at, sms_metadata)
     select 1, '+12065550100', 'outbound', 5, $2::text, $2::text = 'delivered', $4, now() at time zone 'UTC' - interval '2 hours', $3::jsonb
       from generate_series(1, $1::integer)`,
    [messages, end, JSON.stringify({ attempts }), delays.length],
  )
}

beforeAll(async () => {
  database = await createTestDatabase()
  web = await endpoint.startEndpoint(database.url, CREDENTIALS)
  await insert(1_500, 30004, [180, 360], 'undelivered')
  await insert(100, 30001, [60], 'delivered')
  await insert(20, 30001, [60, 120], 'delivered')
  await insert(20, 30001, [60, 120, 240], 'delivered')
  await insert(5, 30001, [60, 120, 240], 'undelivered')
})

afterAll(async () => {
  expect(web.log.filter(({ level }) => level === 'error')).toEqual([])
  await web.stop()
  await database.drop()
})

const adviceOf = async (code: string): Promise<string> => {
  const { text } = await get(web, `/error-codes/${code}`)
  const [, section = ''] = /<section aria-labelledby="advice">(.*?)<\/section>/s.exec(text) ?? []
  return section.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ')
}

test('the history is read in the background, and the advice is that of the command', async () => {
  expect(await adviceOf('30004')).toContain('is being read')
  const advice = await waitFor('the advice', async () => {
    const text = await adviceOf('30004')
    return text.includes('is being read') ? null : text
  })
  const own = open(database)
  const { changes, unchanged } = advise(await readHistory(own, 30 * 86_400), createRetryPolicy())
  await own.close()
  expect(changes.map(({ code, kind }) => [code, kind])).toEqual([[30004, 'stop']])
  expect(unchanged).toEqual([30001])
  expect(advice).toContain('Do not retry : no retry instead of')
  expect(advice).toContain('the retries by -3,000')
  expect(await adviceOf('30001')).toContain('No change')
  for (const code of ['30005', 'none']) expect(await adviceOf(code)).toContain('No advice')
  for (const code of ['20003', '30002'])
    expect(await adviceOf(code)).toContain('No advice: this failure is one of the account')
})

test('other work is done while the advice is computed, and the advice is the same', async () => {
  // Each deadline is an entry of its own in every draw, so that this takes a while.
  const deadlines = Array.from({ length: 200 }, (_, i) => 1000 + 300 * i)
  const paths = deadlines.flatMap((remainingSeconds) => [
    ...pathsWith(30003, 20, [300, 900], [2, 2], { remainingSeconds }),
    ...pathsWith(30003, 20, [3600], [15], { remainingSeconds }),
  ])
  const [history, policy] = [historyWith(...paths), createRetryPolicy()]
  let turns = 0
  let isDone = false
  const takeTurn = (): void => {
    turns += 1
    if (!isDone) setImmediate(takeTurn)
  }
  setImmediate(takeTurn)
  const advice = await adviseBetweenRequests(history, policy)
  isDone = true
  expect(turns).toBeGreaterThan(10)
  expect(advice).toEqual(advise(history, policy))
  expect(advice.changes.map(({ code, kind }) => [code, kind])).toEqual([[30003, 'later']])
})
