// The dashboard while its database is unreachable: it reports the outage and recovers without a restart.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { freePort } from '../../../src/demo/embedded-postgres.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type DatabaseProxy, startDatabaseProxy } from '../database-proxy.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, formOf, get, post } from './operator.ts'

let database: TestDatabase
let proxy: DatabaseProxy
let web: endpoint.Endpoint

beforeAll(async () => {
  database = await createTestDatabase()
  proxy = await startDatabaseProxy(database.url, await freePort())
  web = await endpoint.startEndpoint(proxy.url, CREDENTIALS)
})

afterAll(async () => {
  await web.stop()
  await proxy.close()
  await database.drop()
})

test('during an outage of the database every page is answered 503 with a Refresh header, and recovers', async () => {
  const { id } = await endpoint.insertSentRow(database)
  await database.query(
    `update sms_usage_logs set final_status = 'pending', twilio_message_sid = null where id = $1`,
    [id],
  )
  const form = formOf(await get(web, `/messages/${id}/cancel`))
  const pause = { ...formOf(await get(web, '/queue/pause')), reason: '' }
  await proxy.set('away')
  for (const path of [
    '/',
    '/error-codes',
    '/messages',
    '/queue',
    '/queue/pause',
    `/messages/${id}`,
    `/messages/${id}/cancel`,
  ]) {
    const { status, text, headers } = await get(web, path)
    expect([path, status]).toEqual([path, 503])
    expect(text).toContain('Database unavailable')
    expect(headers.get('Refresh')).toBe('5')
    expect(headers.get('Retry-After')).toBe('5')
  }
  expect((await post(web, `/messages/${id}/cancel`, form)).status).toBe(503)
  expect((await post(web, '/queue/pause', pause)).status).toBe(503)
  await proxy.set('there')
  await waitFor('the pages to recover', async () => (await get(web, '/')).status === 200)
  // The failed action succeeds when the form is submitted again.
  await waitFor('the message to be canceled', async () => {
    const { headers } = await post(web, `/messages/${id}/cancel`, form)
    return headers.get('Location')?.endsWith('notice=cancel')
  })
})
