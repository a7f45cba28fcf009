// Tests DATABASE_URL as people paste it: pg reads what was meant, or the URL is rejected with what to change.
import { describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { parseConfig } from '../../src/config/config.ts'
import { readDatabaseUrl } from '../../src/config/database-url.ts'
import { connectionOptions } from '../../src/postgres/pool.ts'
import { ConfigError } from '../../src/shared/errors.ts'

function clientOf(url: string, ssl?: string): pg.Client {
  const { database } = parseConfig({ DATABASE_URL: url, DATABASE_SSL: ssl }, [])
  return new pg.Client(connectionOptions(database))
}

function faultOf(url: string): string {
  const read = readDatabaseUrl(url)
  if ('url' in read) throw new Error('it was accepted')
  return read.fault
}

const PASSWORDS = [
  ...[
    '#',
    '/',
    '?',
    '@',
    ':',
    '%',
    '&',
    '=',
    '+',
    ' ',
    '"',
    "'",
    '<',
    '[',
    ']',
    '\\',
    '^',
    '`',
    '|',
    'é',
    '👍',
  ],
  ...['%2', '%zz', '%e9', '%41', '@/', '@#', ':#', '#@', '$', '{}', ';,', '~'],
].flatMap((special) => [`a${special}b`, `12${special}b`, `${special}`, `a${special}`])

describe.each([undefined, 'disable'])('a password, DATABASE_SSL %s', (ssl) => {
  test.each(PASSWORDS)('%j is read correctly if it is escaped', (password) => {
    const client = clientOf(`postgres://app:${encodeURIComponent(password)}@db.internal:5433/app`, ssl)
    expect(client).toMatchObject({ user: 'app', host: 'db.internal', port: 5433, database: 'app' })
    expect(client.password).toBe(password)
  })

  test.each(
    PASSWORDS,
  )('%j is read correctly if it is not escaped, or rejected with the escape', (password) => {
    const url = `postgres://app:${password}@db.internal:5433/app`
    let client: pg.Client
    try {
      client = clientOf(url, ssl)
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError)
      expect((error as Error).message).toMatch(/%2F|%3F|%23|%25/)
      return
    }
    // A valid escape is decoded.
    const meant = /%[0-9a-f]{2}/i.test(password) ? decodeURIComponent(password) : password
    expect(client).toMatchObject({ user: 'app', password: meant, host: 'db.internal', port: 5433 })
  })
})

test('a bare % does not affect the escapes beside it', () => {
  expect(clientOf('postgres://app:50%25%2Fof%zz%C3%A9 @host/app').password).toBe('50%/of%zzé ')
})

describe('an invalid DATABASE_URL is rejected with what to change, and without a part of it:', () => {
  test.each([
    ['postgres://app:hush#hush@host/app', /^has an unescaped # in the password: write %23/],
    ['postgres://app:hush/hush@host/app', /^has an unescaped \/ in the password: write %2F/],
    ['postgres://app:hush?hush@host/app', /^has an unescaped \? in the password: write %3F/],
    ['postgres://app:12#hush@host/app', /^has an unescaped # in the password/],
    ['postgres://app:12/hush@host/app', /^has an unescaped \/ in the password/],
    ['postgres://app:12?hush@host/app', /^has an unescaped \? in the password/],
    ['postgres://app:12?hush=hush@host/app', /^has an unescaped \? in the password/],
    ['postgres://app@hush:12?hush=hush@host/app', /^has an unescaped \? in the password/],
    ['postgres://app:12?host=hush@host/app', /^has an unescaped \? in the password/],
    ['postgres://app/hush@host/app', /^has an unescaped \/ in the user/],
    ['postgres://app:p@hush/hush@host/app', /^has an unescaped \/ in the password/],
    ['postgres://app:%e9hush@host/app', /^has a % in the password that begins no valid escape/],
    ['postgres://app:hush@host/a#b', /^has a part after #/],
    ['postgres://app:hush@host:hush/app', /with a port from 0 to 65535/],
    ['postgres://app:hush@host:99999/app', /with a port from 0 to 65535/],
    ["psql 'postgres://app:hush@host/app'", /delete the text before it/],
    ['DATABASE_URL=postgres://app:hush@host/app', /delete the text before it/],
    ['jdbc:postgresql://host/app', /delete the text before it/],
    ['mysql://app:hush@host/app', /^must be a PostgreSQL URL such as/],
    ['postgres:app', /^must be a PostgreSQL URL such as/],
  ])('%s', (url, fault) => {
    expect(faultOf(url)).toMatch(fault)
    expect(faultOf(url)).not.toContain('hush')
  })

  test.each([
    'postgres://app:hush@one,two/app',
    'postgres://app:hush@one:5432,two:5433/app?target_session_attrs=read-write',
    'postgres:///app?host=one,two',
    'postgres://app:hush@one/app?port=5432,5433',
  ])('%s is rejected for several hosts', (url) => {
    expect(faultOf(url)).toMatch(/^names several hosts: one host is supported.*DNS.*pooler.*virtual address/)
  })
})

describe('a parameter', () => {
  test.each([
    ['connection_limit=5', /connection_limit.*ignored: set DATABASE_POOL_MAX/],
    ['pgbouncer=true', /pgbouncer.*ignored: remove it/],
    ['sslaccept=strict', /sslaccept.*ignored: set DATABASE_SSL/],
    ['connect_timeout=0', /connect_timeout with an invalid value.*seconds from 1 to 9999/],
    ['connect_timeout=5s', /connect_timeout with an invalid value.*seconds from 1 to 9999/],
    ['lock_timeout=5', /lock_timeout.*ignored: remove it; sms-retry sets its own/],
    ['query_timeout=5', /query_timeout.*ignored: remove it; sms-retry sets its own/],
    ['target_session_attrs=primary', /target_session_attrs.*one host is supported/],
    ['load_balance_hosts=random', /load_balance_hosts.*one host is supported/],
    ['search_path=app1', /search_path.*ignored: write schema=/],
    ['currentSchema=app1', /currentSchema.*ignored: write schema=/],
    ['dbname=app', /dbname.*ignored: name the database after the host/],
    ['binary=true', /binary.*ignored: remove it/],
    ['replication=database', /replication.*ignored: remove it/],
    ['channel_binding=require', /channel_binding.*ignored: remove it/],
    ['Schema=app1', /Schema.*ignored/],
    ['constructor=1', /constructor.*ignored/],
    ['schema=', /schema with an invalid value.*name of one schema/],
    ['schema=a&schema=b', /schema more than once/],
    [`schema=${'x'.repeat(64)}`, /at most 63 characters/],
    ['ssl=false', /ssl with an invalid value.*true, 1, 0 or no-verify/],
    ['sslmode=allow', /sslmode with an invalid value.*disable, prefer/],
    ['client_encoding=latin1', /client_encoding with an invalid value.*utf8/],
    ['foo=1&bar=2', /foo.*bar/],
  ])('%s is rejected by its name', (parameter, fault) => {
    const url = `postgres://app:hush@host/app?${parameter}`
    expect(faultOf(url)).toMatch(fault)
    expect(faultOf(url)).not.toContain('hush')
  })

  test.each([
    ['application_name=shop', { application_name: 'shop' }],
    ['options=-c%20geqo%3Doff', { options: '-c geqo=off' }],
    ['statement_timeout=500', { statement_timeout: '500' }],
    ['idle_in_transaction_session_timeout=500', { idle_in_transaction_session_timeout: '500' }],
    ['host=/run/postgresql&port=5433', { host: '/run/postgresql', port: 5433 }],
    ['user=me&password=p@ss', { user: 'me' }],
    ['sslmode=no-verify', { ssl: { rejectUnauthorized: false } }],
    ['ssl=no-verify', { ssl: { rejectUnauthorized: false } }],
    ['sslmode=require&uselibpqcompat=true', { ssl: { rejectUnauthorized: false } }],
    ['sslmode=no-verify&sslnegotiation=direct', { sslnegotiation: 'direct' }],
  ])('%s reaches the driver', (parameter, expected) => {
    const client = clientOf(`postgres://host/app?${parameter}`)
    expect((client as unknown as { connectionParameters: object }).connectionParameters).toMatchObject(
      expected,
    )
  })
})
