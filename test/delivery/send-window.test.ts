// Tests how a send window is read, and when it is open. send-window-year.test.ts checks a whole year.
import { describe, expect, test } from '@jest/globals'
import { readSendWindow, type SendWindow, windowState } from '../../src/delivery/send-window.ts'

const DAYTIME: SendWindow = { from: '08:00', to: '21:00' }
const NIGHT: SendWindow = { from: '22:00', to: '06:00' }

/** `until 21:00Z`, or `08:00Z-21:00Z` for the next opening, each with its date. */
function stateAt(now: string, window: SendWindow, ...zones: readonly string[]): string {
  const state = windowState(new Date(now), window, zones)
  const short = (date: Date): string => date.toISOString().replace(':00.000Z', 'Z')
  return state.open ? `until ${short(state.closesAt)}` : `${short(state.opensAt)}/${short(state.closesAt)}`
}

describe('a send window is read from', () => {
  test.each([
    ['08:00-21:00', DAYTIME],
    ['22:00-06:00', NIGHT],
    ['00:00-23:59', { from: '00:00', to: '23:59' }],
    ['08:00-00:00', { from: '08:00', to: '00:00' }],
    [{ from: '08:00', to: '21:00' }, DAYTIME],
    [{ from: '22:00', to: '06:00' }, NIGHT],
  ])('%j', (input, window) => {
    expect(readSendWindow(input)).toEqual({ window })
  })
})

describe('a send window is not read from', () => {
  test.each<[unknown]>([
    [''],
    ['any'],
    ['08:00'],
    ['8:00-21:00'],
    ['08:00-24:00'],
    ['08:60-21:00'],
    ['08:00 - 21:00'],
    ['08:00-21:00\n'],
    ['08:00-21:00-'],
    ['08:00-21:00-22:00'],
    [null],
    [undefined],
    [821],
    [['08:00', '21:00']],
    [{ from: '08:00' }],
    [{ from: '08:00', to: '9pm' }],
    [{ from: 8, to: 21 }],
    [{ from: '08:00', to: '21:00', timeZone: 'UTC' }],
  ])('%j', (input) => {
    expect(readSendWindow(input)).toEqual({
      fault: 'must be two times of day, HH:MM with two digits each, from 00:00 (midnight) to 23:59',
    })
  })

  test.each<[unknown]>([
    ['08:00-08:00'],
    [{ from: '00:00', to: '00:00' }],
  ])('%j, which is empty or the whole day', (input) => {
    expect(readSendWindow(input)).toHaveProperty(
      'fault',
      expect.stringMatching(/^must begin and end at different/),
    )
  })
})

describe('in one zone, a window', () => {
  test.each([
    ['is closed before it begins', '2026-01-15T12:59:59.999Z', '2026-01-15T13:00Z/2026-01-16T02:00Z'],
    ['opens exactly when it begins', '2026-01-15T13:00:00Z', 'until 2026-01-16T02:00Z'],
    ['is open across midnight in UTC', '2026-01-16T00:00:00Z', 'until 2026-01-16T02:00Z'],
    ['is open a millisecond before its end', '2026-01-16T01:59:59.999Z', 'until 2026-01-16T02:00Z'],
    ['is closed exactly at its end', '2026-01-16T02:00:00Z', '2026-01-16T13:00Z/2026-01-17T02:00Z'],
    ['moves with summer time', '2026-07-15T11:00:00Z', '2026-07-15T12:00Z/2026-07-16T01:00Z'],
    [
      'opens earlier the day clocks go forward',
      '2026-03-08T02:00:00Z',
      '2026-03-08T12:00Z/2026-03-09T01:00Z',
    ],
    ['opens later the day clocks go back', '2026-11-01T01:00:00Z', '2026-11-01T13:00Z/2026-11-02T02:00Z'],
  ])('%s', (_, now, expected) => {
    expect(stateAt(now, DAYTIME, 'America/New_York')).toBe(expected)
  })

  test.each([
    ['opens in the evening', '2026-01-15T20:59:59Z', '2026-01-15T21:00Z/2026-01-16T05:00Z'],
    ['stays open past midnight', '2026-01-15T23:30:00Z', 'until 2026-01-16T05:00Z'],
    ['is closed in the morning', '2026-01-16T05:00:00Z', '2026-01-16T21:00Z/2026-01-17T05:00Z'],
    ['lasts 7 hours as clocks go forward', '2026-03-28T21:00:00Z', 'until 2026-03-29T04:00Z'],
    ['lasts 9 hours as clocks go back', '2026-10-24T20:00:00Z', 'until 2026-10-25T05:00Z'],
  ])('that spans midnight %s', (_, now, expected) => {
    expect(stateAt(now, NIGHT, 'Europe/Berlin')).toBe(expected)
  })
})

describe('when clocks change, a window', () => {
  test.each([
    [
      'inside the skipped hour opens a day later',
      { from: '02:00', to: '03:00' },
      'Europe/Berlin',
      '2026-03-29T00:00:00Z',
      '2026-03-30T00:00Z/2026-03-30T01:00Z',
    ],
    [
      'that begins in the skipped hour opens after it',
      { from: '02:30', to: '04:00' },
      'Europe/Berlin',
      '2026-03-29T00:00:00Z',
      '2026-03-29T01:00Z/2026-03-29T02:00Z',
    ],
    [
      'that ends in the skipped hour closes before it',
      { from: '01:00', to: '02:30' },
      'Europe/Berlin',
      '2026-03-29T00:30:00Z',
      'until 2026-03-29T01:00Z',
    ],
    [
      'that ends in the doubled hour opens twice',
      { from: '01:00', to: '02:30' },
      'Europe/Berlin',
      '2026-10-25T00:30:00Z',
      '2026-10-25T01:00Z/2026-10-25T01:30Z',
    ],
    [
      'that begins in the doubled hour closes in between',
      { from: '02:30', to: '04:00' },
      'Europe/Berlin',
      '2026-10-25T00:45:00Z',
      'until 2026-10-25T01:00Z',
    ],
    [
      'around the doubled hour stays open',
      { from: '01:00', to: '04:00' },
      'Europe/Berlin',
      '2026-10-24T23:00:00Z',
      'until 2026-10-25T03:00Z',
    ],
    [
      'from midnight opens at 01:00 where midnight is skipped',
      { from: '00:00', to: '12:00' },
      'America/Santiago',
      '2026-09-06T03:59:59Z',
      '2026-09-06T04:00Z/2026-09-06T15:00Z',
    ],
    [
      'that begins in a skipped half hour opens after it',
      { from: '02:15', to: '03:00' },
      'Australia/Lord_Howe',
      '2026-10-03T15:29:00Z',
      '2026-10-03T15:30Z/2026-10-03T16:00Z',
    ],
    [
      'that ends in a doubled half hour opens twice',
      { from: '01:00', to: '01:45' },
      'Australia/Lord_Howe',
      '2026-04-04T14:50:00Z',
      '2026-04-04T15:00Z/2026-04-04T15:15Z',
    ],
    [
      'does not open on a day that the calendar skips',
      DAYTIME,
      'Pacific/Apia',
      '2011-12-30T07:00:00Z',
      '2011-12-30T18:00Z/2011-12-31T07:00Z',
    ],
  ])('%s', (_, window, zone, now, expected) => {
    expect(stateAt(now, window, zone)).toBe(expected)
  })
})

describe('in several zones, a window is open', () => {
  const US = ['America/New_York', 'America/Chicago', 'America/Los_Angeles']
  test.each([
    [
      'not before it is in the westernmost',
      US,
      '2026-01-15T15:59:00Z',
      '2026-01-15T16:00Z/2026-01-16T02:00Z',
    ],
    ['once it is in all', US, '2026-01-15T16:00:00Z', 'until 2026-01-16T02:00Z'],
    [
      'not after it ends in the easternmost',
      US,
      '2026-01-16T02:00:00Z',
      '2026-01-16T16:00Z/2026-01-17T02:00Z',
    ],
    [
      'in all, with half-hour offsets',
      ['Asia/Kolkata', 'Australia/Adelaide'],
      '2026-01-15T00:00:00Z',
      '2026-01-15T02:30Z/2026-01-15T10:30Z',
    ],
    [
      'while all are, though their summer times differ',
      ['America/New_York', 'Europe/London'],
      '2026-03-20T00:00:00Z',
      '2026-03-20T12:00Z/2026-03-20T21:00Z',
    ],
  ])('%s', (_, zones, now, expected) => {
    expect(stateAt(now, DAYTIME, ...zones)).toBe(expected)
  })
})

describe('where a window is never open in all zones together, it is open', () => {
  const MORNING: SendWindow = { from: '08:00', to: '10:00' }
  const HALF_AN_HOUR: SendWindow = { from: '08:00', to: '08:30' }
  test.each([
    [
      'in either of two',
      MORNING,
      ['America/New_York', 'Asia/Tokyo'],
      '2026-01-15T12:00:00Z',
      '2026-01-15T13:00Z/2026-01-15T15:00Z',
    ],
    [
      'in either of two, the other one next',
      MORNING,
      ['America/New_York', 'Asia/Tokyo'],
      '2026-01-15T15:00:00Z',
      '2026-01-15T23:00Z/2026-01-16T01:00Z',
    ],
    [
      'in two of three, not in one',
      MORNING,
      ['America/New_York', 'America/Chicago', 'Asia/Tokyo'],
      '2026-01-15T13:30:00Z',
      '2026-01-15T14:00Z/2026-01-15T15:00Z',
    ],
    [
      'in two of four',
      MORNING,
      ['America/New_York', 'America/Chicago', 'Asia/Tokyo', 'Asia/Kolkata'],
      '2026-01-15T13:00:00Z',
      '2026-01-15T14:00Z/2026-01-15T15:00Z',
    ],
    [
      'in two of four, though three are for a while',
      MORNING,
      ['America/New_York', 'America/Toronto', 'America/Chicago', 'Asia/Tokyo'],
      '2026-01-15T12:00:00Z',
      '2026-01-15T13:00Z/2026-01-15T15:00Z',
    ],
    [
      'in as many as possible, if these are less than half',
      HALF_AN_HOUR,
      ['America/New_York', 'America/Toronto', 'America/Chicago', 'America/Denver', 'America/Los_Angeles'],
      '2026-01-14T20:00:00Z',
      '2026-01-15T13:00Z/2026-01-15T13:30Z',
    ],
  ])('%s', (_, window, zones, now, expected) => {
    expect(stateAt(now, window, ...zones)).toBe(expected)
  })

  test('only on the days on which that is so: in summer in Denver or Phoenix, in winter in both', () => {
    const window = { from: '08:00', to: '09:00' }
    const zones = ['America/Denver', 'America/Phoenix']
    expect(stateAt('2026-07-01T12:00:00Z', window, ...zones)).toBe('2026-07-01T14:00Z/2026-07-01T16:00Z')
    expect(stateAt('2026-12-01T12:00:00Z', window, ...zones)).toBe('2026-12-01T15:00Z/2026-12-01T16:00Z')
  })

  test('even if it then never closes', () => {
    const state = windowState(new Date('2026-01-15T12:00:00Z'), { from: '08:00', to: '20:00' }, [
      'UTC',
      'Etc/GMT-12',
    ])
    expect(state.open).toBe(true)
    expect(state.closesAt.getTime()).toBeGreaterThan(Date.parse('2026-01-18T00:00:00Z') - 1)
  })
})

test('the order of the zones and zones that are given twice do not matter while all are open together', () => {
  const zones = ['America/New_York', 'America/Los_Angeles', 'Asia/Kolkata', 'America/Los_Angeles']
  const at = (...given: readonly string[]): string => stateAt('2026-01-15T12:00:00Z', NIGHT, ...given)
  expect(at(...zones)).toBe(at(...zones.toReversed()))
})

test.each<[string, string[]]>([
  ['no zone', []],
  ['an unknown zone', ['Mars/Olympus_Mons']],
])('%s is an error', (_, zones) => {
  expect(() => windowState(new Date('2026-01-15T12:00:00Z'), DAYTIME, zones)).toThrow(RangeError)
})
