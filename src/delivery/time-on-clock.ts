// When a time of day comes next in a time zone, across changes to and from daylight-saving time.
import { DAY_MS, offsetAt } from './utc-offsets.ts'

/** HH:MM, 24 hours. */
export const TIME_OF_DAY = /^(?:[01]\d|2[0-3]):[0-5]\d$/

/** The time that has passed since midnight on a clock that shows `timeOfDay` (HH:MM). */
export function msSinceMidnight(timeOfDay: string): number {
  const [hours = 0, minutes = 0] = timeOfDay.split(':').map(Number)
  return (hours * 60 + minutes) * 60_000
}

/**
 * The first moment after `now` at which clocks in `timeZone` show `timeOfDay` (HH:MM). If a change of clocks skips it, the
 * first moment after the gap; if clocks show it twice, the first of the two.
 *
 * @throws RangeError for a time zone that does not exist
 */
export function nextTimeOnClock(now: Date, timeOfDay: string, timeZone: string): Date {
  const sinceMidnight = msSinceMidnight(timeOfDay)
  const today = Math.floor(localTime(timeZone, now.getTime()) / DAY_MS) * DAY_MS
  for (let day = today; ; day += DAY_MS) {
    const instant = firstInstantOf(day + sinceMidnight, timeZone)
    if (instant > now.getTime()) return new Date(instant)
  }
}

export function isTimeZone(timeZone: string): boolean {
  try {
    // Unlike a new format, this is fast for a zone that was read before.
    offsetAt(timeZone, 0)
    return true
  } catch {
    // Intl reports an unknown time zone by a RangeError only.
    return false
  }
}

/** The local time at an instant, as the instant at which clocks in UTC show the same. */
function localTime(timeZone: string, instant: number): number {
  return instant + offsetAt(timeZone, instant)
}

/** The first instant at which the clocks show `shown`, or a later time if they skip it. */
function firstInstantOf(shown: number, timeZone: string): number {
  // The offsets a day before and a day after: if the clocks change in between, one is of before and one of after.
  const offsets = [shown - DAY_MS, shown + DAY_MS].map((instant) => offsetAt(timeZone, instant))
  let earliest = shown - Math.max(...offsets)
  let latest = shown - Math.min(...offsets)
  if (localTime(timeZone, earliest) >= shown) return earliest
  // Bisect for the moment of the change: from then on the clocks show at least `shown`.
  while (latest - earliest > 1) {
    const middle = Math.floor((earliest + latest) / 2)
    if (localTime(timeZone, middle) >= shown) latest = middle
    else earliest = middle
  }
  return latest
}
