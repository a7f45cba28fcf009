// The result code in the header of each answer to a callback. Other files create the conditions for `overloaded`,
// `not_recorded` and `body_already_read`, and test them.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import * as endpoint from './endpoint.ts'

let database: TestDatabase
let target: endpoint.Endpoint
let row: endpoint.ForeignRow

beforeAll(async () => {
  database = await createTestDatabase()
  target = await endpoint.startEndpoint(database.url)
})

afterAll(async () => {
  await target.stop()
  await database.drop()
})

beforeEach(async () => {
  row = await endpoint.insertSentRow(database)
})

const undelivered = (extra: Record<string, string> = {}): endpoint.Fields =>
  endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid, extra)

test.each<[what: string, status: number, code: string, change: () => Partial<endpoint.CallbackRequest>]>([
  ['a recorded callback', 204, 'accepted', () => ({})],
  ['an unknown message', 204, 'accepted', () => ({ path: endpoint.statusPath(row.id + 1_000) })],
  ['a status that Twilio added', 204, 'accepted', () => ({ fields: withStatus('teleported') })],
  ['a wrong signature', 403, 'bad_signature', () => ({ authToken: 'somebody else' })],
  ['another account', 403, 'other_account', () => ({ fields: undelivered({ AccountSid: OTHER_ACCOUNT }) })],
  ['an invalid error code', 400, 'unreadable', () => ({ fields: undelivered({ ErrorCode: 'abc' }) })],
  ['a body of 20 KB', 413, 'too_large', () => ({ fields: undelivered({ Padding: 'x'.repeat(20_000) }) })],
  ['JSON', 415, 'wrong_type', () => ({ headers: { 'Content-Type': 'application/json' } })],
])('%s is answered %i with the result %s', async (_what, status, code, change) => {
  const answer = await endpoint.post(target, {
    path: endpoint.statusPath(row.id),
    fields: undelivered(),
    ...change(),
  })
  expect(answer).toMatchObject({ status })
  expect(endpoint.resultOf(answer)).toBe(code)
})

const OTHER_ACCOUNT = `AC${'f'.repeat(32)}`

function withStatus(status: string): endpoint.Fields {
  return undelivered({ MessageStatus: status, SmsStatus: status })
}
