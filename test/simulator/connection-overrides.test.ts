// Parsing the fragment of a callback URL. Its effect on callbacks is tested in callback-retries.test.ts.
import { expect, test } from '@jest/globals'
import {
  type ConnectionOverrides,
  readConnectionOverrides,
} from '../../src/simulator/connection-overrides.ts'

const DEFAULTS: ConnectionOverrides = {
  retryCount: 1,
  retryOn: ['ct'],
  connectTimeoutMs: 5_000,
  answerTimeoutMs: 15_000,
  totalTimeoutMs: 15_000,
}

const ALL = ['4xx', '5xx', 'ct', 'rt'] as const

test.each<[fragment: string, differences: Partial<ConnectionOverrides>]>([
  ['', {}],
  ['#', {}],
  ['#top', {}],
  ['#rc=0', { retryCount: 0 }],
  ['#rc=5', { retryCount: 5 }],
  ['rc=5', { retryCount: 5 }],
  ['#rc=6', {}],
  ['#rc=-1', {}],
  ['#rc=2.5', {}],
  ['#rc=', {}],
  ['#rc=two&ct=200', { connectTimeoutMs: 200 }],
  ['#rc=2&rc=4', { retryCount: 2 }],
  ['#RC=2', {}],
  ['#rp=4xx', { retryOn: ['4xx'] }],
  ['#rp=5xx,ct,rt', { retryOn: ['5xx', 'ct', 'rt'] }],
  ['#rp=rt,4xx', { retryOn: ['4xx', 'rt'] }],
  ['#rp=5xx%2Crt', { retryOn: ['5xx', 'rt'] }],
  ['#rp=all', { retryOn: ALL }],
  ['#rp=ct,all', { retryOn: ALL }],
  ['#rp=', {}],
  ['#rp=6xx', {}],
  ['#rp=5xx,often', {}],
  ['#rp=5xx,', {}],
  ['#ct=100', { connectTimeoutMs: 100 }],
  ['#ct=10000', { connectTimeoutMs: 10_000 }],
  ['#ct=99', {}],
  ['#ct=10001', {}],
  ['#rt=100', { answerTimeoutMs: 100 }],
  ['#rt=15000', { answerTimeoutMs: 15_000 }],
  ['#rt=99', {}],
  ['#rt=15001', {}],
  ['#tt=100', { totalTimeoutMs: 100 }],
  ['#tt=15000', { totalTimeoutMs: 15_000 }],
  ['#tt=99', {}],
  ['#tt=15001', {}],
  ['#e=ashburn&sni=n&rc=3', { retryCount: 3 }],
  [
    '#ct=2000&rt=3000&tt=9000&rc=3&rp=all',
    {
      connectTimeoutMs: 2_000,
      answerTimeoutMs: 3_000,
      totalTimeoutMs: 9_000,
      retryCount: 3,
      retryOn: ALL,
    },
  ],
])('the fragment "%s" overrides %j', (fragment, differences) => {
  const overrides = readConnectionOverrides(fragment, { connectTimeoutMs: 5_000, answerTimeoutMs: 15_000 })
  expect(overrides).toEqual({ ...DEFAULTS, ...differences })
})

test('the options of the simulator are the defaults of ct and rt, even outside Twilio’s range', () => {
  const defaults = { connectTimeoutMs: 30, answerTimeoutMs: 40 }
  expect(readConnectionOverrides('', defaults)).toMatchObject(defaults)
  expect(readConnectionOverrides('#ct=300&rt=400', defaults)).toMatchObject({
    connectTimeoutMs: 300,
    answerTimeoutMs: 400,
  })
})
