// A browser that disconnects while it loads a page's files is not an error.
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { createTestDatabase } from '../../support/database.ts'
import { startEndpoint } from '../endpoint.ts'
import { CREDENTIALS, get, SIGNED_IN } from './operator.ts'

test('sixty tabs closed while loading leave no warning in the log', async () => {
  const database = await createTestDatabase()
  const web = await startEndpoint(database.url, CREDENTIALS)
  const request = `GET /assets/dashboard.css HTTP/1.1\r\nHost: a\r\nAuthorization: ${SIGNED_IN}\r\n\r\n`
  for (let tab = 0; tab < 60; tab += 1) {
    const socket = connect(web.port, '127.0.0.1', () => socket.write(request))
    socket.on('error', () => undefined)
    await sleep(tab % 6)
    socket.resetAndDestroy()
    await sleep(10)
  }
  expect((await get(web, '/assets/dashboard.css')).status).toBe(200)
  await web.stop()
  // Before the drop, which ends connections that the server has not closed yet.
  const lines = web.log.filter(({ level }) => level === 'error' || level === 'warn')
  await database.drop()
  expect(lines).toEqual([])
})
