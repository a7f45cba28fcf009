// A server that does not answer: after the time-out, the waiting statements fail and the connection is replaced.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { type Database, openDatabase } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'

const TIMEOUT_MS = 1_000

let direct: TestDatabase
/** Connections that the proxy has open. */
let clients: Set<Socket>
/** From this text on, the server gets nothing. */
let silentFrom: string | null
const ends: (() => unknown)[] = []

beforeEach(async () => {
  direct = await createTestDatabase(null)
  await direct.query('create table thing (id integer)')
  clients = new Set()
  silentFrom = null
})

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  await direct.drop()
})

const keyOf = (name: string): Buffer => readFileSync(join(import.meta.dirname, '../twilio/https', name))

function passOn(from: Socket): void {
  const { port, hostname } = new URL(direct.url)
  const upstream = connect(Number(port), hostname)
  let isSilent = false
  from.on('data', (chunk) => {
    isSilent ||= silentFrom !== null && chunk.includes(silentFrom)
    if (!isSilent) upstream.write(chunk)
  })
  upstream.on('data', (chunk) => from.write(chunk))
  from.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
  upstream.on('error', () => from.destroy()).on('close', () => from.destroy())
}

/** Accepts the request for TLS, as a server does that has a certificate. */
function passOnWithTls(client: Socket): void {
  client.once('data', () => {
    client.write('S')
    passOn(
      new TLSSocket(client, { isServer: true, key: keyOf('localhost.key'), cert: keyOf('localhost.crt') }),
    )
  })
}

/** A proxy to the server. */
async function startProxy(where: number | string, pass = passOn): Promise<void> {
  const proxy = createServer((client) => {
    clients.add(client)
    client.on('close', () => clients.delete(client)).on('error', () => undefined)
    pass(client)
  })
  proxy.listen(where)
  await once(proxy, 'listening')
  ends.push(() => proxy.close())
}

async function openThroughProxy(timeoutMs = TIMEOUT_MS, pass = passOn): Promise<Database> {
  const port = await freePort()
  await startProxy(port, pass)
  const url = new URL(direct.url)
  url.host = `127.0.0.1:${port}`
  return open(url.toString(), timeoutMs, pass === passOnWithTls ? 'require' : null)
}

function open(url: string, timeoutMs: number, ssl: 'require' | null = null): Database {
  const database = openDatabase({ url, ssl, poolMax: 1 }, () => undefined, timeoutMs)
  ends.push(() => database.close())
  return database
}

async function ids(): Promise<number[]> {
  return (await direct.query<{ id: number }>('select id from thing order by id')).map(({ id }) => id)
}

const INSERT = 'insert into thing values ($1)'
const NO_ANSWER = `No answer within ${TIMEOUT_MS} ms`

/** The pool has closed its connection, and opens another. */
async function expectNewConnection(database: Database): Promise<void> {
  await waitFor('the end of the connection', () => clients.size === 0)
  silentFrom = null
  await database.transaction((tx) => tx.executeSql(INSERT, [50]))
  expect(await ids()).toEqual([50])
  expect(clients.size).toBe(1)
}

describe('the server stops answering, the connection is closed, and the next one works', () => {
  test('at a single statement: written is unknown', async () => {
    const database = await openThroughProxy()
    silentFrom = 'insert'
    const failing = database.executeSql(INSERT, [1])
    await expect(failing).rejects.toMatchObject({ written: 'unknown', cause: { message: NO_ANSWER } })
    await expectNewConnection(database)
  })

  test('at a statement of a transaction: written is no, and all statements under way fail', async () => {
    const database = await openThroughProxy()
    silentFrom = 'insert'
    const failure = { written: 'no', cause: { message: NO_ANSWER } }
    const failing = database.transaction(async (tx) => {
      const sent = await Promise.allSettled([1, 2, 3].map((id) => tx.executeSql(INSERT, [id])))
      expect(sent.map((result) => ('reason' in result ? result.reason : result.value))).toEqual(
        [1, 2, 3].map(() => expect.objectContaining({ written: 'no' })),
      )
    })
    await expect(failing).rejects.toMatchObject(failure)
    await expectNewConnection(database)
  })

  test('at a commit: written is unknown', async () => {
    const database = await openThroughProxy()
    silentFrom = 'commit\0'
    const failing = database.transaction((tx) => tx.executeSql(INSERT, [1]))
    await expect(failing).rejects.toMatchObject({ written: 'unknown', cause: { message: NO_ANSWER } })
    await expectNewConnection(database)
  })

  test('at the settings of a new connection: nothing was sent', async () => {
    const database = await openThroughProxy()
    silentFrom = 'set time zone'
    const failing = database.executeSql(INSERT, [1])
    await expect(failing).rejects.toMatchObject({ written: 'no', cause: { message: NO_ANSWER } })
    await expectNewConnection(database)
  })

  test('with TLS', async () => {
    const database = await openThroughProxy(TIMEOUT_MS, passOnWithTls)
    await database.executeSql('select 1')
    silentFrom = 'insert'
    const failing = database.executeSql(INSERT, [1])
    await expect(failing).rejects.toMatchObject({ written: 'unknown', cause: { message: NO_ANSWER } })
    await expectNewConnection(database)
  })

  test('through a Unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sms-retry-socket-'))
    ends.push(() => rmSync(folder, { recursive: true }))
    const url = new URL(direct.url)
    await startProxy(join(folder, `.s.PGSQL.${url.port}`))
    url.searchParams.set('host', folder)
    const database = open(url.toString(), TIMEOUT_MS)
    await database.executeSql('select 1')
    silentFrom = 'insert'
    await expect(database.executeSql(INSERT, [1])).rejects.toMatchObject({ cause: { message: NO_ANSWER } })
    await expectNewConnection(database)
  })
})

test('the time-out is for each statement, and not for a connection that is used for longer', async () => {
  const database = await openThroughProxy()
  const statements = 6
  await database.transaction(async (tx) => {
    for (let id = 0; id < statements; id += 1) await tx.executeSql('select from pg_sleep($1)', [0.1])
    await new Promise((resolve) => setTimeout(resolve, 2 * TIMEOUT_MS))
    await tx.executeSql(INSERT, [1])
  })
  expect(await ids()).toEqual([1])
})

test.each([
  5_000, 0,
])('pg.defaults.query_timeout has no effect, with a time-out of ours of %s', async (timeoutMs) => {
  const own = pg.defaults.query_timeout
  pg.defaults.query_timeout = 100
  try {
    const database = await openThroughProxy(timeoutMs)
    await database.executeSql('select from pg_sleep(0.3)')
    await database.transaction(async (tx) => {
      await tx.executeSql('select from pg_sleep(0.3)')
      await tx.executeSql(INSERT, [1])
    })
  } finally {
    pg.defaults.query_timeout = own
  }
  expect(await ids()).toEqual([1])
})

test('the next minor garbage collection frees the values and rows of a transaction', async () => {
  const script = fileURLToPath(new URL('promoted-bytes.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, direct.url])
  const promoted = JSON.parse(stdout) as number[]
  // The text alone has twice as many bytes.
  expect(Math.min(...promoted)).toBeLessThan(500)
})
