// How DATABASE_URL and DATABASE_SSL become a connection: DATABASE_SSL decides about TLS.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { parseConfig } from '../../src/config/config.ts'
import { connectionOptions, openDatabase } from '../../src/postgres/pool.ts'
import { ConfigError } from '../../src/shared/errors.ts'

const URL_WITHOUT = 'postgres://user:secret@localhost:5432/app'

/** The `ssl` option that the driver ends up with. */
function sslOf(url: string, ssl?: string): unknown {
  const { database } = parseConfig({ DATABASE_URL: url, DATABASE_SSL: ssl }, ['DATABASE_URL'])
  return (new pg.Client(connectionOptions(database)) as unknown as { ssl: unknown }).ssl
}

describe.each([
  '',
  '?ssl=0',
  '?ssl=true',
  '?sslmode=disable',
  '?sslmode=require',
  '?sslmode=no-verify&uselibpqcompat=true',
])('DATABASE_SSL with a URL that ends in "%s"', (query) => {
  test.each([
    ['disable', false],
    ['require', { rejectUnauthorized: false }],
    ['verify', { rejectUnauthorized: true }],
  ])('DATABASE_SSL=%s wins', (ssl, expected) => {
    expect(sslOf(URL_WITHOUT + query, ssl)).toEqual(expected)
  })
})

describe.each([undefined, 'disable'])('a URL with its host as a parameter, and DATABASE_SSL %s', (ssl) => {
  const configOf = (url: string) => parseConfig({ DATABASE_URL: url, DATABASE_SSL: ssl }, []).database

  test('names a socket', () => {
    const url = 'postgresql://user:p%40%2F@/app?host=/cloudsql/project:region:instance'
    expect(new pg.Client(connectionOptions(configOf(url)))).toMatchObject({
      ...{ host: '/cloudsql/project:region:instance', user: 'user', password: 'p@/', database: 'app' },
    })
  })

  test('connects', async () => {
    const { username, password, port, pathname } = new URL(process.env['TEST_SERVER_URL'] ?? '')
    const url = `postgres://${username}:${password}@${pathname}?host=127.0.0.1&port=${port}`
    const client = new pg.Client(connectionOptions(configOf(url)))
    await client.connect()
    expect((await client.query('select host(inet_server_addr()) as "host"')).rows).toEqual([
      { host: '127.0.0.1' },
    ])
    await client.end()
  })
})

test('connect_timeout in the URL replaces the default of 5 seconds', async () => {
  const { hostname, port } = new URL(process.env['TEST_SERVER_URL'] ?? '')
  const slow = createServer((socket) => {
    socket.pause()
    setTimeout(() => {
      const server = connect(Number(port), hostname)
      socket.on('error', () => server.destroy())
      server.on('error', () => socket.destroy())
      socket.pipe(server).pipe(socket)
    }, 6_000)
  })
  await once(slow.listen(0, '127.0.0.1'), 'listening')
  const url = new URL(process.env['TEST_SERVER_URL'] ?? '')
  url.port = `${(slow.address() as AddressInfo).port}`
  url.searchParams.set('connect_timeout', '60')
  const database = openDatabase({ url: url.href, ssl: null, poolMax: 1 }, () => undefined)
  try {
    expect(await database.executeSql('select 1 as one')).toMatchObject({ rows: [{ one: 1 }] })
  } finally {
    await database.close()
    slow.close()
  }
})

test('certificates in a URL with a socket contradict DATABASE_SSL', () => {
  const url = 'postgres://user:secret@/app?host=/cloudsql/a:b:c&sslcert=/etc/ssl/some.pem'
  expect(() => parseConfig({ DATABASE_URL: url, DATABASE_SSL: 'verify' }, [])).toThrow('sslcert')
})

test('an unencoded slash in the password is refused and never leads to another host', () => {
  const url = 'postgres://user:p@/ss@db.internal/app'
  expect(() => parseConfig({ DATABASE_URL: url }, [])).toThrow(ConfigError)
})

test('without DATABASE_SSL, the URL decides about TLS', () => {
  expect(sslOf(URL_WITHOUT)).toBe(false)
  expect(sslOf(`${URL_WITHOUT}?sslmode=no-verify`)).toEqual({ rejectUnauthorized: false })
})

test.each(['sslrootcert', 'sslcert', 'sslkey'])('%s in the URL contradicts DATABASE_SSL', (name) => {
  const env = { DATABASE_URL: `${URL_WITHOUT}?${name}=/etc/ssl/some.pem`, DATABASE_SSL: 'verify' }
  expect(() => parseConfig(env, [])).toThrow(ConfigError)
  expect(() => parseConfig(env, [])).toThrow(name)
  expect(() => parseConfig({ ...env, DATABASE_SSL: '' }, [])).not.toThrow()
})
