// How a connection is made from DATABASE_URL and DATABASE_SSL: what the latter says is what happens.
import { describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { parseConfig } from '../../src/config.ts'
import { connectionOptions } from '../../src/db/pool.ts'
import { ConfigError } from '../../src/errors.ts'

const URL_WITHOUT = 'postgres://user:secret@localhost:5432/app'

/** What the driver makes of it in the end. */
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
  ])('%s wins', (ssl, expected) => {
    expect(sslOf(URL_WITHOUT + query, ssl)).toEqual(expected)
  })
})

test('without DATABASE_SSL the URL decides', () => {
  expect(sslOf(URL_WITHOUT)).toBe(false)
  expect(sslOf(`${URL_WITHOUT}?sslmode=no-verify`)).toEqual({ rejectUnauthorized: false })
})

test.each([
  'sslrootcert',
  'sslcert',
  'sslkey',
])('%s in the URL and DATABASE_SSL contradict each other', (name) => {
  const env = { DATABASE_URL: `${URL_WITHOUT}?${name}=/etc/ssl/some.pem`, DATABASE_SSL: 'verify' }
  expect(() => parseConfig(env, [])).toThrow(ConfigError)
  expect(() => parseConfig(env, [])).toThrow(name)
  expect(() => parseConfig({ ...env, DATABASE_SSL: '' }, [])).not.toThrow()
})
