// The scales of the charts: ticks of counts and of times, and stacks.
import { describe, expect, test } from '@jest/globals'
import { countTicks, stack, timeTicks } from '../../../src/http/dashboard/chart-scale.ts'
import { SPANS } from '../../../src/http/dashboard/spans.ts'

describe('the ticks of counts', () => {
  test.each([
    [0, [0, 1]],
    [1, [0, 1]],
    [2, [0, 1, 2]],
    [4, [0, 1, 2, 3, 4]],
    [5, [0, 2, 4, 6]],
    [46, [0, 20, 40, 60]],
    [100, [0, 50, 100]],
    [101, [0, 50, 100, 150]],
    [1_234, [0, 500, 1_000, 1_500]],
    [999_999, [0, 500_000, 1_000_000]],
  ])('up to %d are whole, round and at equal distances', (max, ticks) => {
    expect(countTicks(max)).toEqual(ticks)
  })

  test('always reach the largest value, in at most four steps', () => {
    for (let max = 0; max < 3_000; max += 1) {
      const ticks = countTicks(max)
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(max)
      expect(ticks.length).toBeLessThanOrEqual(5)
    }
  })
})

describe('the ticks of times', () => {
  const starts = (first: string, bucketSeconds: number, parts: number): Date[] =>
    Array.from({ length: parts }, (_, i) => new Date(Date.parse(first) + i * bucketSeconds * 1000))
  const labels = (times: readonly Date[], max: number): string[] =>
    timeTicks(times, max).map(({ label }) => label)

  test('of an hour are times of day', () => {
    const hour = starts('2026-11-30T14:05:00Z', 300, 13)
    expect(labels(hour, 13)).toHaveLength(13)
    expect(labels(hour, 5)).toEqual(['14:15', '14:30', '14:45', '15:00'])
  })

  test('of a day show the date where the day begins', () => {
    const day = starts('2026-11-29T15:00:00Z', 3_600, 25)
    expect(labels(day, 11)).toEqual([
      '15:00',
      '18:00',
      '21:00',
      'Nov 30',
      '03:00',
      '06:00',
      '09:00',
      '12:00',
      '15:00',
    ])
    expect(labels(day, 6)).toEqual(['18:00', 'Nov 30', '06:00', '12:00'])
  })

  test('of a week are dates', () => {
    const week = starts('2026-11-23T18:00:00Z', 6 * 3_600, 29)
    expect(labels(week, 13)).toEqual(['Nov 24', 'Nov 25', 'Nov 26', 'Nov 27', 'Nov 28', 'Nov 29', 'Nov 30'])
    expect(labels(week, 6).every((label) => /^Nov \d\d$/.test(label))).toBe(true)
  })

  test('of 30 days are dates, also across the end of a year', () => {
    const month = starts('2026-12-10T00:00:00Z', 86_400, 31)
    const shown = labels(month, 7)
    expect(shown.length).toBeGreaterThan(4)
    expect(shown.every((label) => /^(Dec|Jan) \d{1,2}$/.test(label))).toBe(true)
  })

  test('mark the part that begins at their time', () => {
    const day = starts('2026-11-29T22:00:00Z', 3_600, 5)
    expect(timeTicks(day, 2)).toEqual([{ index: 2, label: 'Nov 30' }])
  })

  test('fit into every time range of the dashboard, whenever it begins', () => {
    for (const { seconds, bucketSeconds, name } of SPANS) {
      for (let i = 0; i < 100; i += 1) {
        const first = Math.floor((Date.parse('2026-02-27T00:00:00Z') / 1000 + i * 12_345) / bucketSeconds)
        const times = starts(
          new Date(first * bucketSeconds * 1000).toISOString(),
          bucketSeconds,
          seconds / bucketSeconds + 1,
        )
        for (const max of [6, 13]) {
          const { length } = timeTicks(times, max)
          expect([name, max, length > 0 && length <= max]).toEqual([name, max, true])
        }
      }
    }
  })

  test('are none without parts', () => {
    expect(timeTicks([], 6)).toEqual([])
  })
})

test('a stack lays each value on the sum of those before it', () => {
  expect(stack([3, 0, 2])).toEqual([
    { from: 0, to: 3 },
    { from: 3, to: 3 },
    { from: 3, to: 5 },
  ])
  expect(stack([])).toEqual([])
})
