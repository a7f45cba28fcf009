// The configuration check of `doctor`: it names settings but never values, and an invalid setting does not hide others.
import { describe, expect, test } from '@jest/globals'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { isPrivateHost } from '../../src/doctor/private-host.ts'
import { examine, named, of } from './examine.ts'

/** A complete configuration whose addresses refuse connections. */
async function closedEnv(): Promise<Record<string, string>> {
  const closed = `127.0.0.1:${CLOSED_PORT}`
  return {
    DATABASE_URL: `postgres://app@${closed}/app`,
    PUBLIC_BASE_URL: `http://${closed}`,
    TWILIO_ACCOUNT_SID: `AC${'1'.repeat(32)}`,
    TWILIO_AUTH_TOKEN: 'a'.repeat(32),
    TWILIO_FROM_NUMBER: '+12065550100',
    TWILIO_API_BASE_URL: `http://${closed}`,
  }
}

async function warningsOf(changes: Record<string, string>): Promise<string[]> {
  const found = of(await examine({ ...(await closedEnv()), ...changes }), 'configuration')
  return found.filter(({ result }) => result === 'warning').map(({ what }) => what)
}

test('reports all invalid settings by name, and skips the checks that need them', async () => {
  const found = await examine({
    ...(await closedEnv()),
    DATABASE_URL: 'secret1',
    TWILIO_ACCOUNT_SID: 'secret2',
    PUBLIC_BASE_URL: '',
  })
  const faults = of(found, 'configuration').filter(({ result }) => result === 'failed')
  expect(faults.map(({ what }) => what.split(' ')[0])).toEqual([
    'DATABASE_URL',
    'TWILIO_ACCOUNT_SID',
    'PUBLIC_BASE_URL',
  ])
  expect(named(found, 'failed')).toEqual(['configuration'])
  expect(of(found, 'account')[0]).toMatchObject({
    result: 'skipped',
    what: expect.stringContaining('TWILIO_ACCOUNT_SID'),
  })
  expect(of(found, 'endpoint')[0]?.what).toContain('PUBLIC_BASE_URL')
  expect(JSON.stringify(found)).not.toMatch(/secret\d/)
})

test('an invalid setting does not skip checks that do not need it', async () => {
  const found = await examine({ ...(await closedEnv()), PORT: 'x', TWILIO_FROM_NUMBER: '' })
  expect(named(found, 'failed')).toEqual(['configuration', 'database', 'account', 'endpoint'])
})

test('an empty configuration fails only the configuration check', async () => {
  expect(named(await examine({ DATABASE_SSL: 'require' }), 'failed')).toEqual(['configuration'])
})

test('says that an allow-list is on, without its numbers, and does not warn outside of production', async () => {
  const found = of(
    await examine({ ...(await closedEnv()), RECIPIENT_ALLOWLIST: '+12065550199' }),
    'configuration',
  )
  const says = expect.stringMatching(/^RECIPIENT_ALLOWLIST is set: messages to all other recipients/)
  expect(found).toContainEqual(expect.objectContaining({ result: 'ok', what: says }))
  expect(JSON.stringify(found)).not.toContain('5550199')
})

test('reports a missing policy file', async () => {
  const found = await examine({ ...(await closedEnv()), RETRY_POLICY_FILE: '/nowhere/policy.json' })
  expect(of(found, 'configuration')).toContainEqual(
    expect.objectContaining({ result: 'failed', what: expect.stringContaining('RETRY_POLICY_FILE') }),
  )
})

describe('warnings', () => {
  test('with a simulator, only the simulator is reported', async () => {
    expect(await warningsOf({ RETRY_DELAY_SCALE: '0.01', TWILIO_AUTH_TOKEN: 'short' })).toEqual([
      expect.stringContaining('TWILIO_API_BASE_URL is set'),
    ])
  })

  test.each<[length: number, names: string[]]>([
    [15, ['DASHBOARD_PASSWORD', 'METRICS_TOKEN']],
    [16, []],
  ])('also with a simulator, secrets of %i characters give warnings for %j', async (length, names) => {
    const secret = 'h'.repeat(length)
    const found = await warningsOf({
      DASHBOARD_USERNAME: 'operator',
      DASHBOARD_PASSWORD: secret,
      METRICS_TOKEN: secret,
    })
    expect(found).toEqual([
      expect.stringContaining('TWILIO_API_BASE_URL is set'),
      ...names.map((name) => `${name} has fewer than 16 characters and can be guessed`),
    ])
    expect(JSON.stringify(found)).not.toContain(secret)
  })

  test.each<[name: string, changes: Record<string, string>, words: RegExp]>([
    [
      'a public address without https',
      { PUBLIC_BASE_URL: 'http://sms.example.invalid' },
      /PUBLIC_BASE_URL is not https/,
    ],
    ['a public address on this machine', { PUBLIC_BASE_URL: 'https://localhost:1' }, /Twilio cannot reach/],
    ['scaled delays', { RETRY_DELAY_SCALE: '0.01' }, /RETRY_DELAY_SCALE is 0\.01/],
    [
      'an allow-list',
      { RECIPIENT_ALLOWLIST: '+1206*' },
      /RECIPIENT_ALLOWLIST is set: .* all other recipients/,
    ],
    ['a small pool', { DATABASE_POOL_MAX: '2' }, /DATABASE_POOL_MAX is 2/],
    [
      'a short second token',
      { TWILIO_AUTH_TOKEN: `${'a'.repeat(32)},short` },
      /Token 2 of TWILIO_AUTH_TOKEN/,
    ],
  ])('in production, %s is reported', async (_name, changes, words) => {
    const production = {
      NODE_ENV: 'production',
      TWILIO_API_BASE_URL: 'https://127.0.0.1:1',
      PUBLIC_BASE_URL: 'https://sms.example.invalid',
    }
    const found = await warningsOf({ ...production, ...changes })
    expect(found).toEqual([expect.stringMatching(/TWILIO_API_BASE_URL is set/), expect.stringMatching(words)])
  })
})

test.each([
  ...[
    'localhost',
    '127.0.0.1',
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '[::1]',
    '[fd00::1]',
    'db',
    '',
    'a.local',
    '/var/run/postgres.d',
  ].map((host) => [host, true] as const),
  ...['sms.example.com', '172.32.0.1', '8.8.8.8', '[2001:db8::1]'].map((host) => [host, false] as const),
])('isPrivateHost("%s") is %s', (host, isPrivate) => {
  expect(isPrivateHost(host)).toBe(isPrivate)
})
