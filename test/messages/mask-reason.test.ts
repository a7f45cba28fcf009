// Tests that the reason of a message is shown without its number.
import { expect, test } from '@jest/globals'
import { maskReason } from '../../src/shared/log.ts'

test.each([
  ['+12065550199', 'Refused for +12065550199.', 'Refused for …0199.'],
  ['+12065550199', 'Refused for 2065550199.', 'Refused for …0199.'],
  ['+12065550199', 'Refused for 555-0199.', 'Refused for …0199.'],
  ['+12065550199', 'Error 30003: (206) 555-0199 is unreachable', 'Error 30003: …0199 is unreachable'],
  ['+12065550199', 'Error 30003 +1 (206) 555-0199', 'Error 30003 …0199'],
  ['+12065550199', '1.206.555.0199, 12065550199', '…0199, …0199'],
  ['206-555-0199', 'No route to +1 206 555 0199', 'No route to +1 …0199'],
  ['(206) 555-0199', 'bad: 2065550199', 'bad: …0199'],
  ['+12065550199', 'Refused for +4915112345678', 'Refused for …5678'],
  ['12345', 'short code 12345', 'short code …2345'],
  ['', 'no number: 30003', 'no number: 30003'],
  [
    '+12065550199',
    'Error 30003 after 3 attempts on 2026-07-01',
    'Error 30003 after 3 attempts on 2026-07-01',
  ],
])('the reason of a message to %s is masked: %s', (to, reason, expected) => {
  expect(maskReason(reason, to)).toBe(expected)
})
