// Tests how the settings become the circumstances of the gate: the time zones of a recipient, and the allow-list.
import { expect, test } from '@jest/globals'
import { parseConfig } from '../../src/config/config.ts'
import { circumstancesOf } from '../../src/processes/circumstances.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { ConfigError } from '../../src/shared/errors.ts'

const circumstances = (env: Record<string, string>) => circumstancesOf(parseConfig(env, []))

const SEATTLE = '+12065550199'
const TOLL_FREE = '+18005550199'
const FALLBACK = { SEND_WINDOW_FALLBACK_TIME_ZONE: 'America/Chicago' }

test.each<[what: string, env: Record<string, string>, to: string, zones: string[]]>([
  ['those of its number', {}, SEATTLE, ['America/Los_Angeles']],
  ['those of its number, also with a fallback', FALLBACK, SEATTLE, ['America/Los_Angeles']],
  ['the fallback for a number that shows none', FALLBACK, TOLL_FREE, ['America/Chicago']],
  ['the fallback for an address that is no number', FALLBACK, 'somebody', ['America/Chicago']],
  ['none for a number that shows none, without a fallback', {}, TOLL_FREE, []],
  [
    'the configured one for everybody',
    { SEND_WINDOW_TIME_ZONE: 'Asia/Tokyo', ...FALLBACK },
    SEATTLE,
    ['Asia/Tokyo'],
  ],
  [
    'the configured one for a number that shows none',
    { SEND_WINDOW_TIME_ZONE: 'Asia/Tokyo' },
    TOLL_FREE,
    ['Asia/Tokyo'],
  ],
])('the time zones of a recipient are %s', (_what, env, to, zones) => {
  expect(circumstances(env).zonesOf(to)).toEqual(zones)
})

test.each<[list: string | undefined, to: string, isAllowed: boolean]>([
  [undefined, SEATTLE, true],
  [SEATTLE, SEATTLE, true],
  [SEATTLE, `${SEATTLE}0`, false],
  [SEATTLE, '+12065550198', false],
  ['+1206*', SEATTLE, true],
  ['+1206*', '+12075550199', false],
  ['+12065550199*', SEATTLE, true],
  ['+4479*,+1206*', SEATTLE, true],
  ['+1206*', '12065550199', false],
])('with the allow-list %s, %s is allowed: %p', (list, to, isAllowed) => {
  const env = list === undefined ? {} : { RECIPIENT_ALLOWLIST: list }
  expect(circumstances(env).isAllowed(to)).toBe(isAllowed)
})

const DATABASE = { databaseUrl: 'postgres://localhost/app' }

test.each<[what: string, list: string[]]>([
  ['without entries', []],
  ['with an empty entry', ['']],
  ['with a blank entry', [' ']],
  ['with a quoted empty entry', ['""']],
  ['with an empty entry among others', [SEATTLE, '']],
])('an allow-list in the options %s is rejected, and does not send to everybody', (_what, list) => {
  for (const env of [{}, { RECIPIENT_ALLOWLIST: SEATTLE }]) {
    const open = () => openRuntime({ ...DATABASE, recipientAllowlist: list }, env, [])
    expect(open).toThrow(ConfigError)
    expect(open).toThrow(/RECIPIENT_ALLOWLIST must be phone numbers.*Leave it out to send to everybody/)
  }
})

test('an allow-list in the options replaces the one of the environment', async () => {
  const env = { RECIPIENT_ALLOWLIST: '+4479*' }
  const options = { ...DATABASE, recipientAllowlist: [SEATTLE, '+1206*'] }
  const { circumstances: given, database } = openRuntime(options, env, [])
  expect([SEATTLE, '+12065550100', '+447900000000'].map(given.isAllowed)).toEqual([true, true, false])
  await database.close()
})
