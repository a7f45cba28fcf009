// Tests which numbers Twilio would store in another form.
import { createRequire } from 'node:module'
import { expect, test } from '@jest/globals'
import { getCountries, getExampleNumber } from 'libphonenumber-js/min'
import { rewrittenForm } from '../../src/shared/phone-number.ts'

test.each([
  ['+4407700900103', '+447700900103'],
  ['+49015123456789', '+4915123456789'],
  ['+330612345678', '+33612345678'],
  ['+112065550199', '+12065550199'],
])('Twilio stores %s as %s', (number, form) => {
  expect(rewrittenForm(number)).toBe(form)
})

test.each([
  '+447700900103',
  // This zero is part of the number.
  '+390612345678',
  // Test numbers and the simulator's numbers are invalid, but keep their form.
  '+15005550006',
  '+15551234567',
  '+15553000301',
  '+15552161001',
  '+12065550199',
  '+999123456789',
])('Twilio stores %s unchanged', (number) => {
  expect(rewrittenForm(number)).toBeNull()
})

test('Twilio stores the example mobile number of every country unchanged', () => {
  const examples = createRequire(import.meta.url)('libphonenumber-js/examples.mobile.json')
  const numbers = getCountries().map((country) => getExampleNumber(country, examples)?.number ?? '')
  expect(numbers.length).toBeGreaterThan(200)
  expect(numbers.filter((number) => number === '' || rewrittenForm(number) !== null)).toEqual([])
})

test('Twilio stores the numbers of the simulator unchanged', () => {
  // The library tells numbers apart by their first digits and length. Every 37th code: all first three digits, and all last.
  const codes = Array.from({ length: 2_703 }, (_, i) => String(i * 37).padStart(5, '0'))
  expect(new Set(codes.map((code) => code.slice(0, 3))).size).toBe(1_000)
  const numbers = codes.map((code) => `+1555${code}01`)
  expect(numbers.filter((number) => rewrittenForm(number) !== null)).toEqual([])
})
