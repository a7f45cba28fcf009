// Tests the reading of segments and prices as Twilio states them.
import { expect, test } from '@jest/globals'
import { readBilling } from '../../src/twilio/read-billing.ts'

test.each([
  ['1', 1],
  ['10', 10],
  [3, 3],
  ['0', null],
  ['', null],
  ['1.5', null],
  ['-1', null],
  ['1e9', null],
  [null, null],
  [undefined, null],
])('num_segments %j is %j', (value, segments) => {
  expect(readBilling(value, null, null)).toEqual({ segments, price: null })
})

test.each([
  ['-0.00830', 'USD', { amount: 0.0083, unit: 'USD' }],
  ['-0.00830', 'eur', { amount: 0.0083, unit: 'EUR' }],
  ['0', 'USD', { amount: 0, unit: 'USD' }],
  [null, 'USD', null],
  ['', 'USD', null],
  ['free', 'USD', null],
  ['-0.00830', null, null],
  ['-0.00830', 'dollars', null],
  [-0.0083, 'USD', null],
])('price %j %j is %j', (value, unit, price) => {
  expect(readBilling('1', value, unit)).toEqual({ segments: 1, price })
})
