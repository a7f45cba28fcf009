// The server ends a connection (pg_terminate_backend, a shutdown), and its message arrives together with the last answer,
// just before the pool hands the connection on to a caller that waits.
import { afterEach, expect, test } from '@jest/globals'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { openDatabase } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** ErrorResponse: FATAL, 57P01. https://www.postgresql.org/docs/current/protocol-message-formats.html */
const LAST_WORD = (() => {
  const body = Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0')
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
})()

let database: TestDatabase | undefined
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  await database?.drop()
})

test('the caller that waits for that connection gets a new one, and the process goes on', async () => {
  database = await createTestDatabase()
  const { hostname, port } = new URL(database.url)
  let isEnded = false
  const proxy = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    let isLast = false
    client.on('data', (chunk) => {
      isLast = !isEnded && chunk.includes('the last statement')
      upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      if (!isLast) return void client.write(chunk)
      isEnded = true
      client.end(Buffer.concat([chunk, LAST_WORD]))
    })
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  ends.push(() => proxy.close())
  const url = new URL(database.url)
  url.port = `${(proxy.address() as AddressInfo).port}`
  const db = openDatabase({ url: url.toString(), ssl: null, poolMax: 1 }, () => undefined)
  ends.push(() => db.close())

  const answered = db.executeSql("select 'the last statement' as word")
  const handedOn = db.transaction((tx) => tx.executeSql('select 1 as one'))
  const [first, second] = await Promise.allSettled([answered, handedOn])
  expect(first).toMatchObject({ status: 'fulfilled', value: { rows: [{ word: 'the last statement' }] } })
  expect(second).toMatchObject({ status: 'fulfilled', value: { rows: [{ one: 1 }] } })
  expect((await db.executeSql<{ two: number }>('select 2 as two')).rows).toEqual([{ two: 2 }])
})
