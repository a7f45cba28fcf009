import { expect, test } from '@jest/globals'
import { callingCodeOf } from '../../src/shared/calling-code.ts'

test.each([
  ['+12065550100', '+1', 'US'],
  ['12065550100', '+1', 'CA'],
  ['+447', '+44', 'GB'],
  ['+49', '+49', 'DE'],
  ['+358401234567', '+358', 'FI'],
  ['+7701', '+7', 'KZ'],
])('%s begins with the calling code %s', (number, code, country) => {
  expect(callingCodeOf(number)).toMatchObject({ code, countries: expect.arrayContaining([country]) })
})

test.each([
  '',
  '+',
  '+0',
  '+999',
  '+8821',
  'Acme',
  '…0100',
])('%j has no calling code of a country', (number) => {
  expect(callingCodeOf(number)).toBeNull()
})
