// The dashboard's page of outcomes that the app has not received, and its button.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, figureOf, get, post } from './operator.ts'

let database: TestDatabase
let web: endpoint.Endpoint

beforeAll(async () => {
  database = await createTestDatabase()
  web = await endpoint.startEndpoint(database.url, CREDENTIALS)
})

afterAll(async () => {
  await web.stop()
  await database.drop()
})

async function insertFailed(count: number): Promise<void> {
  await database.query(
    `insert into sms_retry_pgboss.job (name, data, policy, created_on, source_name, source_retry_count, source_output)
     select 'outcome_failed',
            jsonb_build_object('id', gen_random_uuid(), 'message', n, 'type', 'message.failed', 'errorCode', 30003,
                               'at', '2026-11-01T12:00:00.000Z', 'corrects', null),
            'standard', now() - (1000 - n) * interval '1 s', 'outcome', 10, '{"message": "webhook: answered <500>"}'
       from generate_series(1, $1::integer) as n`,
    [count],
  )
}

async function countsOf(): Promise<unknown> {
  return database.query(
    `select name, count(*)::integer from sms_retry_pgboss.job where state = 'created' and name like 'outcome%' group by name`,
  )
}

test('without outcomes, the page says so and has no button', async () => {
  const page = await get(web, '/queue/outcomes')
  expect(page.status).toBe(200)
  expect([figureOf(page, 'waiting'), figureOf(page, 'failed')]).toEqual([0, 0])
  expect(page.text).not.toContain('<button')
})

test('failed outcomes are shown with their cause, and delivered again by the button', async () => {
  await insertFailed(120)
  const page = await get(web, '/queue/outcomes')
  expect(figureOf(page, 'failed')).toBe(120)
  expect(page.text).toContain('webhook: answered &lt;500&gt;')
  expect(page.text).toContain('<a href="/messages/1">1</a>')
  expect(page.text).toContain('The oldest 100 are shown.')
  const done = await post(web, '/queue/outcomes', {})
  expect([done.status, done.headers.get('location')]).toEqual([303, '/queue/outcomes?notice=redelivered'])
  expect(await countsOf()).toEqual([{ name: 'outcome', count: 120 }])
  const after = await get(web, '/queue/outcomes?notice=redelivered')
  expect(after.text).toContain('The failed outcomes are delivered again.')
  expect([figureOf(after, 'waiting'), figureOf(after, 'failed')]).toEqual([120, 0])
  expect(web.log).toContainEqual(
    expect.objectContaining({ fields: { by: CREDENTIALS.DASHBOARD_USERNAME, redelivered: 120 } }),
  )
})

test('the form of another site changes nothing', async () => {
  await insertFailed(1)
  const { status } = await post(web, '/queue/outcomes', {}, { 'Sec-Fetch-Site': 'cross-site' })
  expect(status).toBe(403)
  expect(await countsOf()).toContainEqual({ name: 'outcome_failed', count: 1 })
})
