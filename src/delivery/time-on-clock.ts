// When the clocks of a time zone next show a time of day, across changes to and from daylight-saving time.

const DAY_MS = 24 * 3600 * 1000

/**
 * The first moment after `now` at which the clocks of `timeZone` show `timeOfDay` (HH:MM). Where they skip it, the
 * first moment after the gap; where they show it twice, the first of the two.
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
    // A RangeError is Intl's only way to say that it does not know a time zone.
    return false
  }
}

/** What the clocks show at an instant, as the milliseconds at which clocks in UTC show the same. */
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

/** The first instant at which the clocks show `shown`, or more where they skip it. */
function firstInstantOf(shown: number, readClock: ReadClock): number {
  // A day before and a day after, the offset is that before and after any change in between.
  const offsets = [shown - DAY_MS, shown + DAY_MS].map((instant) => readClock(instant) - instant)
  let earliest = shown - Math.max(...offsets)
  let latest = shown - Math.min(...offsets)
  if (readClock(earliest) >= shown) return earliest
  // Between the two the clocks change; from the change on they show at least `shown`.
  while (latest - earliest > 1) {
    const middle = Math.floor((earliest + latest) / 2)
    if (readClock(middle) >= shown) latest = middle
    else earliest = middle
  }
  return latest
}
