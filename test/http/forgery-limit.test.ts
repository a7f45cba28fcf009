// A flood of forged callbacks is cheap to answer, does not fill the log, and does not keep genuine callbacks out.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
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

async function flood(): Promise<number[]> {
  return endpoint.postTogether(target, Array.from({ length: BUDGET + 50 }, forged))
}

test('forged callbacks over the budget are answered 429 with Retry-After', async () => {
  expect(await flood()).toEqual([...Array(BUDGET).fill(403), ...Array(50).fill(429)])
  const answer = await endpoint.post(target, forged())
  expect(answer.status).toBe(429)
  const [, seconds] = /^Retry-After: (\d+)$/im.exec(answer.head) ?? []
  expect(Number(seconds)).toBeGreaterThanOrEqual(1)
  expect(Number(seconds)).toBeLessThanOrEqual(10)
})

test('a flood of forged callbacks is one line in the log', async () => {
  await flood()
  const warnings = target.log.filter(({ level }) => level !== 'debug' && level !== 'info')
  expect(warnings).toMatchObject([
    {
      message: 'Status callback refused: wrong signature',
      fields: { address: '127.0.0.1', notLogged: 0 },
    },
  ])
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

test('genuine callbacks do not use up the budget', async () => {
  const genuine = Array.from({ length: BUDGET + 50 }, () => callback())
  expect(await endpoint.postTogether(target, genuine)).toEqual(genuine.map(() => 204))
  expect(await endpoint.post(target, forged())).toMatchObject({ status: 403 })
})

test('genuine callbacks signed in another spelling of the URL are accepted only within the budget', async () => {
  const path = `${endpoint.statusPath(row.id)}&who=O'Hara`
  const signedUrl = `${target.publicBaseUrl}${path.replace("'", '%27')}`
  const odd = Array.from({ length: BUDGET + 50 }, () => callback({ path, signedUrl }))
  expect(await endpoint.postTogether(target, odd)).toEqual(odd.map(() => 204))
  await flood()
  expect(await endpoint.post(target, callback({ path, signedUrl }))).toMatchObject({ status: 429 })
})
