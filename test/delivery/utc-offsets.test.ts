// Tests how far clocks are ahead of UTC, and when that changes.
import { expect, test } from '@jest/globals'
import { offsetAt, offsetsOfDay } from '../../src/delivery/utc-offsets.ts'

test.each([
  ['UTC', '2026-07-01T12:00:00Z', 0],
  ['Asia/Kolkata', '2026-07-01T12:00:00Z', 330],
  ['Asia/Kathmandu', '2026-07-01T12:00:00Z', 345],
  ['Pacific/Kiritimati', '2026-07-01T12:00:00Z', 840],
  ['America/New_York', '2026-03-08T06:59:59.999Z', -300],
  ['America/New_York', '2026-03-08T07:00:00Z', -240],
  ['America/New_York', '2026-11-01T05:59:59.999Z', -240],
  ['America/New_York', '2026-11-01T06:00:00Z', -300],
  ['Australia/Lord_Howe', '2026-04-04T14:59:59.999Z', 660],
  ['Australia/Lord_Howe', '2026-04-04T15:00:00Z', 630],
  ['Pacific/Apia', '2011-12-30T09:59:59.999Z', -600],
  ['Pacific/Apia', '2011-12-30T10:00:00Z', 840],
  ['Africa/Monrovia', '1969-07-20T20:17:40Z', -44.5],
])('%s is ahead of UTC at %s by %d minutes', (timeZone, instant, minutes) => {
  expect(offsetAt(timeZone, Date.parse(instant)) / 60_000).toBe(minutes)
})

test('a UTC day has one span for each offset, also if clocks change at its start', () => {
  const spansOf = (timeZone: string, day: string) =>
    offsetsOfDay(timeZone, Date.parse(day)).map(({ startsAt, offset }) => [
      new Date(startsAt).toISOString(),
      offset / 3_600_000,
    ])
  expect(spansOf('Asia/Tokyo', '2026-03-29')).toEqual([['2026-03-29T00:00:00.000Z', 9]])
  expect(spansOf('Europe/Berlin', '2026-03-29')).toEqual([
    ['2026-03-29T00:00:00.000Z', 1],
    ['2026-03-29T01:00:00.000Z', 2],
  ])
  // Clocks in Troll change by two hours.
  expect(spansOf('Antarctica/Troll', '2026-10-25')).toEqual([
    ['2026-10-25T00:00:00.000Z', 2],
    ['2026-10-25T01:00:00.000Z', 0],
  ])
  expect(spansOf('Asia/Jerusalem', '2026-03-26')).toEqual([['2026-03-26T00:00:00.000Z', 2]])
  expect(spansOf('Asia/Jerusalem', '2026-03-27')).toEqual([['2026-03-27T00:00:00.000Z', 3]])
})

test('an unknown time zone is an error, each time', () => {
  expect(() => offsetAt('Mars/Olympus_Mons', 0)).toThrow(RangeError)
  expect(() => offsetAt('Mars/Olympus_Mons', 0)).toThrow(RangeError)
})
