// When a time of day comes next in a time zone, across changes to and from daylight-saving time.

const DAY_MS = 24 * 3600 * 1000

/**
 * The first moment after `now` at which clocks in `timeZone` show `timeOfDay` (HH:MM). If a change of clocks skips it, the
 * first moment after the gap; if clocks show it twice, the first of the two.
 *
 * @throws RangeError for a time zone that does not exist
 */
export function nextTimeOnClock(now: Date, timeOfDay: string, timeZone: string): Date {
  const readClock = clockOf(timeZone)
  const [hours = 0, minutes = 0] = timeOfDay.split(':').map(Number)
  const today = Math.floor(readClock(now.getTime()) / DAY_MS) * DAY_MS
  for (let day = today; ; day += DAY_MS) {
    const instant = firstInstantOf(day + (hours * 60 + minutes) * 60_000, readClock)
    if (instant > now.getTime()) return new Date(instant)
  }
}

export function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone })
    return true
  } catch {
    // Intl reports an unknown time zone by a RangeError only.
    return false
  }
}

/** The local time at an instant, as the instant at which clocks in UTC show the same. */
type ReadClock = (instant: number) => number

function clockOf(timeZone: string): ReadClock {
  const format = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  return (instant) => {
    const parts = new Map(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]))
    const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0
    const ms = instant - Math.floor(instant / 1000) * 1000
    return (
      Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second')) +
      ms
    )
  }
}

/** The first instant at which the clocks show `shown`, or a later time if they skip it. */
function firstInstantOf(shown: number, readClock: ReadClock): number {
  // The offsets a day before and a day after: if the clocks change in between, one is of before and one of after.
  const offsets = [shown - DAY_MS, shown + DAY_MS].map((instant) => readClock(instant) - instant)
  let earliest = shown - Math.max(...offsets)
  let latest = shown - Math.min(...offsets)
  if (readClock(earliest) >= shown) return earliest
  // Bisect for the moment of the change: from then on the clocks show at least `shown`.
  while (latest - earliest > 1) {
    const middle = Math.floor((earliest + latest) / 2)
    if (readClock(middle) >= shown) latest = middle
    else earliest = middle
  }
  return latest
}
