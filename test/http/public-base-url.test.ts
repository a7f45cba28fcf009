// The two settings that signatures are checked against: PUBLIC_BASE_URL and TWILIO_AUTH_TOKEN.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import * as endpoint from './endpoint.ts'

let database: TestDatabase
let row: endpoint.ForeignRow
let target: endpoint.Endpoint | undefined

beforeAll(async () => {
  database = await createTestDatabase()
})

afterAll(() => database.drop())

beforeEach(async () => {
  row = await endpoint.insertSentRow(database)
})

afterEach(async () => {
  expect(endpoint.personalLines(target?.log ?? [])).toEqual([])
  await target?.stop()
  target = undefined
})

/** Posts the callback at `/twilio/status`, signed for that path below `signedBase`. */
function post(
  to: endpoint.Endpoint,
  signedBase: string,
  authToken = endpoint.AUTH_TOKEN,
): Promise<endpoint.Answer> {
  const path = endpoint.statusPath(row.id)
  const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
  return endpoint.post(to, { path, fields, signedUrl: signedBase + path, authToken })
}

async function status(): Promise<unknown> {
  const [found] = await database.query('select final_status from sms_usage_logs where id = $1', [row.id])
  return found?.['final_status']
}

describe('signatures are checked against PUBLIC_BASE_URL', () => {
  test.each([
    ['a host', 'https://sms.example.com', 'https://sms.example.com'],
    ['a trailing slash', 'https://sms.example.com/', 'https://sms.example.com'],
    ['a port', 'https://sms.example.com:8443', 'https://sms.example.com:8443'],
    [
      'a port that Twilio left out of the signed URL',
      'https://sms.example.com:8443',
      'https://sms.example.com',
    ],
    ['the default port, signed without it', 'https://sms.example.com:443', 'https://sms.example.com'],
    ['no port, signed with the default port', 'https://sms.example.com', 'https://sms.example.com:443'],
    ['a prefix that a proxy removes', 'https://example.com/a/sms', 'https://example.com/a/sms'],
    ['a prefix and a slash', 'https://example.com/a/sms/', 'https://example.com/a/sms'],
    ['a prefix and a port', 'http://example.com:8080/sms', 'http://example.com:8080/sms'],
    ['an IPv6 address and a port', 'http://[::1]:8080', 'http://[::1]:8080'],
  ])('with %s, a genuine callback is recorded', async (_what, publicBaseUrl, signedBase) => {
    target = await endpoint.startEndpoint(database.url, { PUBLIC_BASE_URL: publicBaseUrl })
    expect(await post(target, signedBase)).toMatchObject({ status: 204 })
    expect(await status()).toBe('retrying')
  })

  test.each([
    ['another host', 'https://example.com'],
    ['another scheme', 'http://example.com:8443/sms'],
    ['no prefix', 'https://example.com:8443'],
    ['another prefix', 'https://example.com:8443/other'],
    ['a longer prefix', 'https://example.com:8443/sms/sms'],
    ['the address at which it listens', 'http://127.0.0.1'],
  ])('a signature for %s is refused', async (_what, signedBase) => {
    target = await endpoint.startEndpoint(database.url, { PUBLIC_BASE_URL: 'https://example.com:8443/sms' })
    expect(await post(target, signedBase)).toMatchObject({ status: 403 })
    expect(await status()).toBe('unknown')
    // The log names the two settings that may be wrong.
    const warning = target.log.find(({ level }) => level === 'warn')
    expect(JSON.stringify(warning)).toMatch(/PUBLIC_BASE_URL.*TWILIO_AUTH_TOKEN/)
  })
})

test('a password in PUBLIC_BASE_URL is part of the signed URL and is not logged', async () => {
  const publicBaseUrl = 'https://twilio:secret-of-the-proxy@example.com/sms'
  target = await endpoint.startEndpoint(database.url, { PUBLIC_BASE_URL: publicBaseUrl })
  expect(await post(target, publicBaseUrl)).toMatchObject({ status: 204 })
  expect(JSON.stringify(target.log)).toContain('https://example.com/sms/twilio/status')
  expect(JSON.stringify(target.log)).not.toContain('secret-of-the-proxy')
})

describe('while the auth token is rotated, a signature', () => {
  const OLD = 'a'.repeat(32)
  const NEW = 'b'.repeat(32)

  test.each([
    ['by the old token is accepted', OLD, 204],
    ['by the new token is accepted', NEW, 204],
    ['by a third token is refused', 'c'.repeat(32), 403],
    ['by the whole setting is refused', `${OLD},${NEW}`, 403],
    ['by an empty token is refused', '', 403],
  ])('%s', async (_what, authToken, expected) => {
    target = await endpoint.startEndpoint(database.url, { TWILIO_AUTH_TOKEN: `${OLD}, ${NEW}` })
    expect(await post(target, target.publicBaseUrl, authToken)).toMatchObject({ status: expected })
    expect(await status()).toBe(expected === 204 ? 'retrying' : 'unknown')
    expect(JSON.stringify(target.log)).not.toMatch(/a{32}|b{32}|c{32}/)
  })
})
