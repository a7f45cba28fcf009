// Tests how the settings become the circumstances of the gate: the time zones of a recipient, and the allow-list.
import { expect, test } from '@jest/globals'
import { parseConfig } from '../../src/config/config.ts'
import { circumstancesOf } from '../../src/processes/circumstances.ts'

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
