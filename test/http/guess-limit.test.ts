// The dashboard's password and the metrics token share one limit, by the address of the connection.
import { expect, test } from '@jest/globals'
import type { Request } from 'express'
import { GuessLimit } from '../../src/http/guess-limit.ts'
import { silentLogger } from '../support/silent-logger.ts'

const requestFrom = (remoteAddress: string): Pick<Request, 'socket'> =>
  ({ socket: { remoteAddress } }) as Pick<Request, 'socket'>

test.each([
  ['one IPv6 network', 10, (n: number) => `2001:db8:1:2:${n.toString(16)}::1`],
  ['one IPv6 network written with zeros', 10, (n: number) => `2001:db8::${n.toString(16)}:91ff:fe00:1`],
  ['thirty IPv6 networks', 30, (n: number) => `2001:db8:0:${(n + 1).toString(16)}::1`],
  ['thirty IPv4 addresses', 30, (n: number) => `::ffff:192.0.2.${n}`],
])('of thirty guesses from %s, %i are checked', async (_what, expected, addressOf) => {
  const limit = new GuessLimit(silentLogger)
  const kinds: string[] = []
  for (let n = 0; n < 30; n += 1) {
    const what = n % 2 === 0 ? 'password' : 'token'
    kinds.push((await limit.judge(what, requestFrom(addressOf(n)), { isRight: false })).kind)
  }
  expect(kinds.filter((kind) => kind === 'wrong')).toHaveLength(expected)
})

test('a thousand guesses from all addresses are checked, and a known browser is not locked out', async () => {
  const limit = new GuessLimit(silentLogger)
  for (let n = 0; n < 1_000; n += 1) {
    const guess = await limit.judge('password', requestFrom(`10.0.${n >> 8}.${n % 256}`), { isRight: false })
    expect(guess).toEqual({ kind: 'wrong' })
  }
  const fresh = requestFrom('192.0.2.1')
  expect(await limit.judge('token', fresh, { isRight: true })).toMatchObject({ kind: 'over_limit' })
  expect(await limit.judge('password', fresh, { isRight: true, browser: 'b' })).toEqual({ kind: 'right' })
})
