// The dashboard while its database is unreachable, or answers only in part: it says so and recovers without a restart.
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

test('while incidents cannot be looked for, pages work and say that they are unknown', async () => {
  await database.query('alter table sms_retry.send_rate rename to send_rate_gone')
  // The findings are cached for some seconds.
  const { status } = await waitFor('unknown incidents', async () => {
    const page = await get(web, '/error-codes')
    return page.text.includes('Incidents are unknown') && page
  })
  expect(status).toBe(200)
  expect(web.log).toContainEqual(
    expect.objectContaining({ level: 'warn', message: 'Could not check for incidents' }),
  )
  await database.query('alter table sms_retry.send_rate_gone rename to send_rate')
  const known = await waitFor('known incidents', async () => {
    const { text } = await get(web, '/error-codes')
    return !text.includes('Incidents are unknown') && text
  })
  expect(known).not.toContain('aria-label="Incidents"')
})
