// The web process stops: it answers the requests that are running, and waits for no client that keeps its connection.
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import pg from 'pg'
import { createTestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import * as endpoint from './endpoint.ts'

test('a web process that stops answers a running callback, then closes its kept-alive connection', async () => {
  const database = await createTestDatabase()
  const web = await endpoint.startEndpoint(database.url)
  const row = await endpoint.insertSentRow(database)
  const app = new pg.Client(database.url)
  await app.connect()
  await app.query('begin')
  await app.query('select from sms_usage_logs for update')
  // Resolves when the server closes the connection.
  const answered = endpoint.post(web, {
    path: endpoint.statusPath(row.id),
    fields: endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid),
    headers: { Connection: 'keep-alive' },
  })
  await waitFor('the callback to wait for the row', async () => {
    const waiting = await database.query(
      `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
    )
    return waiting.length > 0
  })
  const stopped = web.stop().then(() => 'stopped')
  await app.query('rollback')
  // After 15 seconds, the process closes every connection by force.
  const forced = sleep(14_000, 'about to be forced', { ref: false })
  expect(await Promise.race([stopped, forced])).toBe('stopped')
  expect(await answered).toMatchObject({ status: 204 })
  await app.end()
  await database.drop()
})
