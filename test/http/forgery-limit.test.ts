// A flood of forged callbacks is cheap to answer, does not fill the log, and does not keep genuine callbacks out.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { ForgeryLimit, type Verdict } from '../../src/http/forgery-limit.ts'
import { capturingLogger, type LogLine } from '../support/world.ts'
import * as endpoint from './endpoint.ts'

let database: TestDatabase
let target: endpoint.Endpoint
let row: endpoint.ForeignRow

beforeEach(async () => {
  database = await createTestDatabase()
  target = await endpoint.startEndpoint(database.url, { PUBLIC_BASE_URL: 'https://sms.example.com:8443' })
  row = await endpoint.insertSentRow(database)
})

afterEach(async () => {
  await target.stop()
  await database.drop()
})

const BUDGET = 1_000

function callback(change: Partial<endpoint.CallbackRequest> = {}): endpoint.CallbackRequest {
  return {
    path: endpoint.statusPath(row.id),
    fields: endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid),
    ...change,
  }
}

const forged = (): endpoint.CallbackRequest => callback({ authToken: 'not the token of this account' })

/** Until the limit is reached. A busy machine may need longer for a flood than the limit's window of 10 s. */
async function flood(): Promise<void> {
  const forgedOnes = Array.from({ length: BUDGET + 50 }, forged)
  let answers: readonly number[] = []
  while (answers.at(-1) !== 429) answers = await endpoint.postTogether(target, forgedOnes)
}

test('one process refuses a thousand forged callbacks, then only limits them, and logs one line', async () => {
  const log: LogLine[] = []
  const limit = new ForgeryLimit(['the token of this account'], capturingLogger(log))
  const verdicts: Verdict[] = []
  for (let i = 0; i < BUDGET + 50; i += 1) {
    verdicts.push(await limit.judge('192.0.2.1', 'forged', 'https://sms.example.com/twilio/status', {}))
  }
  expect(verdicts.map(({ kind }) => kind)).toEqual([
    ...Array(BUDGET).fill('forged'),
    ...Array(50).fill('over_limit'),
  ])
  expect(log).toMatchObject([
    { message: 'Status callback refused: wrong signature', fields: { address: '192.0.2.1', notLogged: 0 } },
  ])
})

test('forged callbacks over the budget are answered 429 with Retry-After', async () => {
  await flood()
  const answer = await endpoint.post(target, forged())
  expect(answer.status).toBe(429)
  const [, seconds] = /^Retry-After: (\d+)$/im.exec(answer.head) ?? []
  expect(Number(seconds)).toBeGreaterThanOrEqual(1)
  expect(Number(seconds)).toBeLessThanOrEqual(10)
})

test.each([
  ['with the port of the public base URL', 'https://sms.example.com:8443'],
  ['without it', 'https://sms.example.com'],
])('during a flood, a genuine callback signed %s is recorded', async (_how, signedBase) => {
  await flood()
  const genuine = callback({ signedUrl: signedBase + endpoint.statusPath(row.id) })
  // Pipelined between forged ones.
  expect(await endpoint.postTogether(target, [forged(), genuine, forged()])).toEqual([429, 204, 429])
  expect(await database.query('select final_status from sms_usage_logs')).toEqual([
    { final_status: 'retrying' },
  ])
})

/** In batches that a busy machine records before the endpoint sheds load. */
async function postInBatches(callbacks: readonly endpoint.CallbackRequest[]): Promise<number[]> {
  const statuses: number[] = []
  for (let start = 0; start < callbacks.length; start += 50)
    statuses.push(...(await endpoint.postTogether(target, callbacks.slice(start, start + 50))))
  return statuses
}

test('genuine callbacks do not use up the budget', async () => {
  const genuine = Array.from({ length: BUDGET + 50 }, () => callback())
  expect(await postInBatches(genuine)).toEqual(genuine.map(() => 204))
  expect(await endpoint.post(target, forged())).toMatchObject({ status: 403 })
})

test('genuine callbacks signed in another spelling of the URL are accepted only within the budget', async () => {
  const path = `${endpoint.statusPath(row.id)}&who=O'Hara`
  const signedUrl = `${target.publicBaseUrl}${path.replace("'", '%27')}`
  const odd = Array.from({ length: BUDGET + 50 }, () => callback({ path, signedUrl }))
  expect(await postInBatches(odd)).toEqual(odd.map(() => 204))
  await flood()
  expect(await endpoint.post(target, callback({ path, signedUrl }))).toMatchObject({ status: 429 })
})
