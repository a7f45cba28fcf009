// The banner of the dashboard while the figures of the findings cannot be read, and after that.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { waitFor } from '../../support/wait-for.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, get } from './operator.ts'

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

test('while incidents cannot be looked for, pages work and say that they are unknown', async () => {
  await database.query('alter table sms_retry.send_rate rename to send_rate_gone')
  const page = await get(web, '/error-codes')
  expect(page.status).toBe(200)
  expect(page.text).toContain('Incidents are unknown')
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
