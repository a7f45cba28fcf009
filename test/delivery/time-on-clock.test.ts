// Tests when a time of day comes next. In 2026, US clocks skip 02:00 to 03:00 on 8 March and show 01:00 to 02:00 twice on 1
// November.
import { describe, expect, test } from '@jest/globals'
import { isTimeZone, nextTimeOnClock } from '../../src/delivery/time-on-clock.ts'

const PACIFIC = 'America/Los_Angeles'

const next = (now: string, timeOfDay: string, timeZone = PACIFIC): string =>
  nextTimeOnClock(new Date(now), timeOfDay, timeZone).toISOString()

/** A time of day in Los Angeles, in winter and in summer. */
const pst = (time: string): string => new Date(`${time}-08:00`).toISOString()
const pdt = (time: string): string => new Date(`${time}-07:00`).toISOString()

describe('the next midnight, US Pacific,', () => {
  test.each([
    ['in winter, at noon', pst('2026-01-15T12:00'), pst('2026-01-16T00:00')],
    ['in winter, a millisecond before', pst('2026-01-15T23:59:59.999'), pst('2026-01-16T00:00')],
    ['in winter, exactly at midnight, is a day later', pst('2026-01-16T00:00'), pst('2026-01-17T00:00')],
    ['in winter, a millisecond after', pst('2026-01-16T00:00:00.001'), pst('2026-01-17T00:00')],
    ['in summer, at noon', pdt('2026-07-01T12:00'), pdt('2026-07-02T00:00')],
    ['at the end of a year', pst('2026-12-31T18:00'), pst('2027-01-01T00:00')],
    ['on 28 February', pst('2026-02-28T23:00'), pst('2026-03-01T00:00')],

    ['the day before the March change', pst('2026-03-07T12:00'), pst('2026-03-08T00:00')],
    ['before the March change is 23 hours later', pst('2026-03-08T00:00'), pdt('2026-03-09T00:00')],
    ['just before the March change', pst('2026-03-08T01:59:59.999'), pdt('2026-03-09T00:00')],
    ['at the March change', pdt('2026-03-08T03:00'), pdt('2026-03-09T00:00')],
    [
      'a millisecond before the first midnight of summer',
      pdt('2026-03-08T23:59:59.999'),
      pdt('2026-03-09T00:00'),
    ],
    ['at the first midnight of summer', pdt('2026-03-09T00:00'), pdt('2026-03-10T00:00')],

    ['the day before the November change', pdt('2026-10-31T12:00'), pdt('2026-11-01T00:00')],
    ['before the November change is 25 hours later', pdt('2026-11-01T00:00'), pst('2026-11-02T00:00')],
    ['in the first 01:30', pdt('2026-11-01T01:30'), pst('2026-11-02T00:00')],
    ['in the second 01:30', pst('2026-11-01T01:30'), pst('2026-11-02T00:00')],
    [
      'a millisecond before the first midnight of winter',
      pst('2026-11-01T23:59:59.999'),
      pst('2026-11-02T00:00'),
    ],
    ['at the first midnight of winter', pst('2026-11-02T00:00'), pst('2026-11-03T00:00')],
  ])('%s', (_, now, expected) => {
    expect(next(now, '00:00')).toBe(expected)
  })

  test('is later than now and at most 25 hours away, at every time of the year', () => {
    const start = Date.parse('2026-01-01T00:00:00Z')
    const shown = new Intl.DateTimeFormat('en-GB', { timeZone: PACIFIC, timeStyle: 'medium' })
    const wrong: string[] = []
    for (let minute = 0; minute < 366 * 24 * 60; minute += 61) {
      const now = new Date(start + minute * 60_000)
      const at = nextTimeOnClock(now, '00:00', PACIFIC)
      const hours = (at.getTime() - now.getTime()) / 3_600_000
      if (hours <= 0 || hours > 25 || shown.format(at) !== '00:00:00') wrong.push(now.toISOString())
    }
    expect(wrong).toEqual([])
  })
})

describe('a time that the clocks skip becomes the first moment after the gap:', () => {
  test.each([
    ['02:00, the first skipped time', '02:00', pst('2026-03-08T01:00'), pdt('2026-03-08T03:00')],
    ['02:30', '02:30', pst('2026-03-08T01:00'), pdt('2026-03-08T03:00')],
    ['02:59', '02:59', pst('2026-03-07T12:00'), pdt('2026-03-08T03:00')],
    ['01:59, which is not skipped', '01:59', pst('2026-03-08T01:00'), pst('2026-03-08T01:59')],
    ['03:00, which is not skipped', '03:00', pst('2026-03-08T01:00'), pdt('2026-03-08T03:00')],
    ['02:30, asked after the gap, a day later', '02:30', pdt('2026-03-08T03:00'), pdt('2026-03-09T02:30')],
    ['02:30, asked exactly a day before', '02:30', pst('2026-03-07T02:30'), pdt('2026-03-08T03:00')],
  ])('%s', (_, timeOfDay, now, expected) => {
    expect(next(now, timeOfDay)).toBe(expected)
  })

  test('midnight in Chile, which is skipped', () => {
    expect(next('2026-09-05T12:00:00Z', '00:00', 'America/Santiago')).toBe('2026-09-06T04:00:00.000Z')
    expect(next('2026-09-06T04:00:00Z', '00:00', 'America/Santiago')).toBe('2026-09-07T03:00:00.000Z')
  })
})

describe('a time that the clocks show twice is the first of the two,', () => {
  test.each([
    ['asked before both', '01:30', pdt('2026-11-01T00:30'), pdt('2026-11-01T01:30')],
    ['asked between the two, a day later', '01:30', pdt('2026-11-01T01:45'), pst('2026-11-02T01:30')],
    ['asked after both, a day later', '01:30', pst('2026-11-01T01:45'), pst('2026-11-02T01:30')],
    ['such as 01:00, the first that repeats', '01:00', pdt('2026-11-01T00:30'), pdt('2026-11-01T01:00')],
    ['but 02:00 does not repeat', '02:00', pdt('2026-11-01T00:30'), pst('2026-11-01T02:00')],
  ])('%s', (_, timeOfDay, now, expected) => {
    expect(next(now, timeOfDay)).toBe(expected)
  })
})

test.each([
  ['UTC', '2026-07-01T23:30:00Z', '00:00', '2026-07-02T00:00:00.000Z'],
  ['Asia/Kathmandu', '2026-07-01T18:00:00Z', '00:00', '2026-07-01T18:15:00.000Z'],
  ['Pacific/Kiritimati', '2026-07-01T09:59:00Z', '00:00', '2026-07-01T10:00:00.000Z'],
  ['Pacific/Pago_Pago', '2026-07-01T11:00:00Z', '00:00', '2026-07-02T11:00:00.000Z'],
  ['Australia/Lord_Howe', '2026-10-03T12:00:00Z', '02:15', '2026-10-03T15:30:00.000Z'],
  ['Europe/Berlin', '2026-03-28T23:30:00Z', '02:30', '2026-03-29T01:00:00.000Z'],
])('in %s, at %s, the next %s is %s', (timeZone, now, timeOfDay, expected) => {
  expect(next(now, timeOfDay, timeZone)).toBe(expected)
})

test.each([
  ['America/Los_Angeles', true],
  ['UTC', true],
  ['US Pacific', false],
  ['', false],
])('%j is a time zone: %s', (name, expected) => {
  expect(isTimeZone(name)).toBe(expected)
})
