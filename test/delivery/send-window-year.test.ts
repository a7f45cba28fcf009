// Tests the send window against clocks that Intl formats, read step by step: over a year with every change of clocks in
// five zones (North and South, half an hour of summer time, a half-hour offset, no change), and at arbitrary times.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type SendWindow, windowState } from '../../src/delivery/send-window.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

const formats = new Map<string, Intl.DateTimeFormat>()

/** What a clock shows, such as 08:00. */
function wallClock(timeZone: string, instant: number): string {
  let format = formats.get(timeZone)
  format ??= new Intl.DateTimeFormat('en-GB', { timeZone, timeStyle: 'short' })
  formats.set(timeZone, format)
  return format.format(instant)
}

function includes({ from, to }: SendWindow, time: string): boolean {
  return from < to ? from <= time && time < to : from <= time || time < to
}

/** The step-by-step readings of a clock from the start of a UTC day on. */
interface Readings {
  readonly start: number
  readonly step: number
  readonly times: readonly string[]
}

function readClock(timeZone: string, start: number, days: number, step: number): Readings {
  const times = Array.from({ length: (days * DAY) / step }, (_, i) => wallClock(timeZone, start + i * step))
  return { start, step, times }
}

/** What describeState is to say at each time, if all changes of the window are at a step. */
function expectedStates(
  window: SendWindow,
  clocks: readonly [Readings, ...Readings[]],
): (at: number) => string {
  const [{ start, step, times }] = clocks
  const counts = times.map((_, i) => clocks.filter((clock) => includes(window, clock.times[i] ?? '')).length)
  const perDay = DAY / step
  const mostOfDays = Array.from({ length: counts.length / perDay }, (_, day) =>
    Math.max(...counts.slice(day * perDay, (day + 1) * perDay)),
  )
  const open = counts.map((count, i) => {
    const most = mostOfDays[Math.floor(i / perDay)] ?? 0
    if (most === clocks.length) return count === clocks.length
    return count > 0 && (count * 2 >= clocks.length || count === most)
  })
  const nextChange: number[] = []
  for (let i = open.length - 1; i >= 0; i -= 1) {
    nextChange[i] = open[i] === open[i + 1] ? (nextChange[i + 1] ?? i + 1) : i + 1
  }
  const timeAt = (index: number): string => new Date(start + index * step).toISOString()
  return (at) => {
    const index = Math.floor((at - start) / step)
    const change = nextChange[index] ?? 0
    if (open[index] === true) return `open until ${timeAt(change)}`
    return `closed, open from ${timeAt(change)} until ${timeAt(nextChange[change] ?? 0)}`
  }
}

function describeState(at: number, window: SendWindow, zones: readonly string[]): string {
  const state = windowState(new Date(at), window, zones)
  if (state.open) return `open until ${state.closesAt.toISOString()}`
  return `closed, open from ${state.opensAt.toISOString()} until ${state.closesAt.toISOString()}`
}

describe('over a year, the window is open when the clocks say so, and no opening is missed:', () => {
  /** Of the readings: every change of a window and of a clock below is at one. */
  const STEP = 30 * MINUTE
  const START = Date.parse('2026-01-01T00:00:00Z')
  const FIVE: readonly [string, ...string[]] = [
    'America/New_York',
    'America/Santiago',
    'Australia/Lord_Howe',
    'Asia/Kolkata',
    'Asia/Tokyo',
  ]

  const year = new Map<string, Readings>()
  const readYear = (timeZone: string): Readings => {
    const readings = year.get(timeZone) ?? readClock(timeZone, START, 370, STEP)
    year.set(timeZone, readings)
    return readings
  }

  test.each<[string, SendWindow, readonly [string, ...string[]]]>([
    ['New York by day', { from: '08:00', to: '21:00' }, ['America/New_York']],
    ['Santiago after midnight, which one change skips', { from: '00:00', to: '02:30' }, ['America/Santiago']],
    ['Lord Howe, around its changes', { from: '01:30', to: '02:30' }, ['Australia/Lord_Howe']],
    ['Kolkata by night', { from: '22:00', to: '06:00' }, ['Asia/Kolkata']],
    ['Tokyo around midnight', { from: '23:30', to: '00:30' }, ['Asia/Tokyo']],
    ['all five by day', { from: '08:00', to: '21:00' }, FIVE],
    ['two that meet only in winter', { from: '08:00', to: '09:00' }, ['America/Denver', 'America/Phoenix']],
  ])('%s', (_, window, zones) => {
    const [first, ...others] = zones
    const expectedState = expectedStates(window, [readYear(first), ...others.map(readYear)])
    const midnights = (day: number): string => zones.map((zone) => wallClock(zone, day)).join()
    const wrong: string[] = []
    for (let day = START; day < START + 365 * DAY; day += DAY) {
      // Every ten minutes around a change of clocks; on other days every 70, which are other times each day.
      const step = midnights(day - DAY) === midnights(day + 2 * DAY) ? 70 * MINUTE : 10 * MINUTE
      for (let at = START + Math.ceil((day - START) / step) * step; at < day + DAY; at += step) {
        const [actual, expected] = [describeState(at, window, zones), expectedState(at)]
        if (actual !== expected) wrong.push(`${new Date(at).toISOString()}: ${actual}, not ${expected}`)
      }
    }
    expect(wrong).toEqual([])
  })
})

describe('at any time, for any window and zones,', () => {
  const STEP = 15 * MINUTE
  const ZONES = Intl.supportedValuesOf('timeZone')
  const timeOfDay = fc
    .tuple(fc.integer({ min: 0, max: 23 }), fc.constantFrom('00', '15', '30', '45'))
    .map(([hour, minute]) => `${String(hour).padStart(2, '0')}:${minute}`)
  const window = fc.record({ from: timeOfDay, to: timeOfDay }).filter(({ from, to }) => from !== to)
  const now = fc
    .date({ min: new Date('2020-01-01'), max: new Date('2035-01-01'), noInvalidDate: true })
    .map((date) => date.getTime())
  const zone = fc.constantFrom(...ZONES)
  const zones = fc.tuple(zone, fc.uniqueArray(zone, { maxLength: 4 }))

  test('the window is open when the clocks say so, and no opening is missed', () => {
    fc.assert(
      fc.property(now, window, zones, (at, span, [first, others]) => {
        const read = (place: string): Readings => readClock(place, Math.floor(at / DAY) * DAY, 4, STEP)
        const expected = expectedStates(span, [read(first), ...others.map(read)])(at)
        expect(describeState(at, span, [first, ...others])).toBe(expected)
      }),
      { numRuns: 150 },
    )
  })

  test('the window opens at the announced time, and closes at the announced time', () => {
    fc.assert(
      fc.property(now, window, zones, (at, span, [first, others]) => {
        const places = [first, ...others]
        const state = windowState(new Date(at), span, places)
        if (!state.open) {
          expect(state.opensAt.getTime()).toBeGreaterThan(at)
          expect(windowState(state.opensAt, span, places)).toEqual({ open: true, closesAt: state.closesAt })
          expect(windowState(new Date(state.opensAt.getTime() - 1), span, places)).toEqual(state)
        }
        const beforeEnd = new Date(state.closesAt.getTime() - 1)
        expect(windowState(beforeEnd, span, places).open).toBe(true)
        // One that never closes is cut off after the days that are searched.
        if (state.closesAt.getTime() < at + 2 * DAY) {
          expect(windowState(state.closesAt, span, places).open).toBe(false)
        }
      }),
      { numRuns: 300 },
    )
  })
})
