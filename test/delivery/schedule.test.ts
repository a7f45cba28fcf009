// Prints the default policy as a table for readers, and tests the documented schedules.
import { expect, test } from '@jest/globals'
import { ERROR_CODES, reasonOf } from '../../src/delivery/error-codes.ts'
import { createRetryPolicy, ruleFor, scheduleOf } from '../../src/delivery/retry-policy.ts'

const policy = createRetryPolicy()

/** 90 -> '1m30s', 21600 -> '6h'. */
function brief(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'm'],
    [seconds % 60, 's'],
  ] as const
  return parts.flatMap(([n, unit]) => (n === 0 ? [] : [`${n}${unit}`])).join('')
}

function scheduleInWords(code: number | null): string {
  const rule = ruleFor(policy, code)
  if (rule.action === 'stop') return 'stop'
  if (rule.action === 'hold') return 'account on hold'
  const delays = scheduleOf(policy, rule)
  if (delays !== null) return delays.map(brief).join(' ')
  if ('when' in rule) return 'next send window'
  return 'after' in rule ? Array(rule.retries).fill(`${rule.after} ${rule.timeZone}`).join(' ') : 'unknown'
}

test('prints the schedule of every code as a table', () => {
  const codes = [...Object.keys(ERROR_CODES).map(Number), null]
  const lines = codes.map((code) => {
    const cells = [`${code ?? 'none'}`.padEnd(6), scheduleInWords(code).padEnd(51), reasonOf(code)]
    return cells.join('  ')
  })
  process.stdout.write(`\ncode    delays          reason\n${lines.join('\n')}\n\n`)
  expect(new Set(lines).size).toBe(codes.length)
  for (const line of lines)
    expect(line).toMatch(
      /^(\d{5} |\d{6}|none {2}) {2}(stop|\d+[hms][\dhms ]*|(00:00 America\/Los_Angeles ?)+|next send window|account on hold) +[A-Z]/,
    )
})

test.each([
  [30001, '1m 2m 4m'],
  [30002, '2m 4m 8m'],
  [30003, '5m 10m'],
  [30004, '3m 6m'],
  [99999, '2m 4m'],
  [null, '2m 4m'],
  [30450, '30m 1h'],
  [30453, '4h 6h'],
  [30023, '00:00 America/Los_Angeles 00:00 America/Los_Angeles'],
  [30027, '00:00 America/Los_Angeles 00:00 America/Los_Angeles'],
  [63038, '24h 24h 24h'],
  [21211, 'stop'],
  [21214, 'stop'],
  [21610, 'stop'],
  [30006, 'stop'],
  [30007, 'stop'],
  [30008, 'stop'],
])('%s is retried after %s', (code, expected) => {
  expect(scheduleInWords(code)).toBe(expected)
})
