// The hours of the day in which messages may be sent, by the clocks of the recipient. Which zones these are is decided
// elsewhere, and so is which messages keep to a window.
import { msSinceMidnight, TIME_OF_DAY } from './time-on-clock.ts'
import { DAY_MS, type OffsetSpan, offsetsOfDay } from './utc-offsets.ts'

/** From `from` up to, but not including, `to` (both HH:MM). It spans midnight if `to` is the earlier of the two. */
export interface SendWindow {
  readonly from: string
  readonly to: string
}

/** Reads the text `08:00-21:00` or an object. A fault continues after the name of the setting, and is followed by an example. */
export function readSendWindow(input: unknown): { readonly window: SendWindow } | { readonly fault: string } {
  const { from, to, ...others } = boundsOf(input)
  if (!isTimeOfDay(from) || !isTimeOfDay(to) || Object.keys(others).length > 0) {
    return { fault: 'must be two times of day, HH:MM with two digits each, from 00:00 (midnight) to 23:59' }
  }
  if (from === to) return { fault: 'must begin and end at different times of day' }
  return { window: { from, to } }
}

/** The form that readSendWindow reads: `08:00-21:00`. */
export function formatSendWindow({ from, to }: SendWindow): string {
  return `${from}-${to}`
}

function boundsOf(input: unknown): Readonly<Record<string, unknown>> {
  if (typeof input === 'string') {
    const [from, to, ...others] = input.split('-')
    return { from, to, ...others }
  }
  return typeof input === 'object' && input !== null ? { ...input } : {}
}

const isTimeOfDay = (value: unknown): value is string => typeof value === 'string' && TIME_OF_DAY.test(value)

/** `closesAt` is the end of the current or the next opening. If the window never closes, it is about four days ahead. */
export type WindowState =
  | { readonly open: true; readonly closesAt: Date }
  | { readonly open: false; readonly opensAt: Date; readonly closesAt: Date }

/** Clocks skip at most a day (Samoa in 2011), so there is an opening in each of these periods. */
const SEARCH_DAYS = 4

/** A window in ms: when it begins after midnight, and its length. */
interface Hours {
  readonly from: number
  readonly length: number
}

function hoursOf({ from, to }: SendWindow): Hours {
  const begins = msSinceMidnight(from)
  return { from: begins, length: (msSinceMidnight(to) - begins + DAY_MS) % DAY_MS }
}

/** An opening, from `startsAt` up to, but not including, `endsAt`. */
interface Opening {
  readonly startsAt: number
  readonly endsAt: number
}

/**
 * Whether the window is open at `now`, for a recipient who may be in any of these zones.
 *
 * It is open while the clocks of every zone show a time in it. On a UTC day on which this never happens, it is open
 * while it is in half of the zones or more: of two zones, one is enough. If not even half of them are open together on
 * that day, it is open while it is in as many zones as possible. Clocks that are set back can open it twice, and a
 * window that they skip does not open.
 *
 * @throws RangeError without zones, or for a time zone that does not exist
 */
export function windowState(now: Date, window: SendWindow, zones: readonly string[]): WindowState {
  const opening = firstOpening(now.getTime(), hoursOf(window), zones)
  const closesAt = new Date(opening.endsAt)
  if (opening.startsAt <= now.getTime()) return { open: true, closesAt }
  return { open: false, opensAt: new Date(opening.startsAt), closesAt }
}

/** The first opening that ends after `now`. */
function firstOpening(now: number, hours: Hours, zones: readonly string[]): Opening {
  const today = Math.floor(now / DAY_MS) * DAY_MS
  let first: Opening | undefined
  for (let day = today; day < today + SEARCH_DAYS * DAY_MS; day += DAY_MS) {
    for (const { startsAt, endsAt } of openingsOfDay(day, hours, zones)) {
      if (endsAt <= now) continue
      if (first !== undefined && first.endsAt < startsAt) return first
      first = { startsAt: first?.startsAt ?? startsAt, endsAt }
    }
    if (first !== undefined && first.endsAt < day + DAY_MS) return first
  }
  if (first === undefined) throw new RangeError('The send window needs at least one time zone')
  return first
}

/** The openings within the UTC day that starts at `day`, in order. */
function openingsOfDay(day: number, hours: Hours, zones: readonly string[]): Opening[] {
  const counts = openZonesOverDay(day, hours, zones)
  const most = counts.reduce((max, { openZones }) => Math.max(max, openZones), 0)
  const enough = most === zones.length ? most : Math.min(most, Math.ceil(zones.length / 2))
  const openings: Opening[] = []
  counts.forEach(({ startsAt, openZones }, i) => {
    if (openZones === 0 || openZones < enough) return
    const endsAt = counts[i + 1]?.startsAt ?? day + DAY_MS
    const last = openings.at(-1)
    if (last?.endsAt === startsAt) openings[openings.length - 1] = { startsAt: last.startsAt, endsAt }
    else openings.push({ startsAt, endsAt })
  })
  return openings
}

/** In how many zones the window is open, over the UTC day that starts at `day`, each count up to the next. */
function openZonesOverDay(
  day: number,
  hours: Hours,
  zones: readonly string[],
): { readonly startsAt: number; readonly openZones: number }[] {
  const changes = new Map<number, number>([[day, 0]])
  const change = (instant: number, by: number): void => {
    if (instant < day + DAY_MS) changes.set(instant, (changes.get(instant) ?? 0) + by)
  }
  for (const { spans, count } of distinctOffsets(day, zones)) {
    for (const { startsAt, endsAt } of openingsOfZone(day, hours, spans)) {
      change(startsAt, count)
      change(endsAt, -count)
    }
  }
  let openZones = 0
  return [...changes]
    .toSorted(([a], [b]) => a - b)
    .map(([startsAt, by]) => {
      openZones += by
      return { startsAt, openZones }
    })
}

/** Groups the zones with the same offset all day. Many zones of a country have, so this saves most of the work. */
function distinctOffsets(day: number, zones: readonly string[]) {
  const groups = new Map<unknown, { readonly spans: readonly OffsetSpan[]; count: number }>()
  for (const zone of zones) {
    const spans = offsetsOfDay(zone, day)
    const key = spans.length === 1 ? spans[0]?.offset : spans
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { spans, count: 1 })
    else group.count += 1
  }
  return groups.values()
}

/** When the clocks of a zone show a time in the window, within the UTC day that starts at `day`. */
function openingsOfZone(day: number, { from, length }: Hours, spans: readonly OffsetSpan[]): Opening[] {
  return spans.flatMap(({ startsAt: spanStart, offset }, i) => {
    const spanEnd = spans[i + 1]?.startsAt ?? day + DAY_MS
    // While the offset stays the same, the window opens every 24 hours.
    const openings: Opening[] = []
    for (let opensAt = latestOpening(spanStart, from - offset); opensAt < spanEnd; opensAt += DAY_MS) {
      const opening = { startsAt: Math.max(opensAt, spanStart), endsAt: Math.min(opensAt + length, spanEnd) }
      if (opening.startsAt < opening.endsAt) openings.push(opening)
    }
    return openings
  })
}

/** The last instant at or before `instant` that is a whole number of days from `opening`. */
function latestOpening(instant: number, opening: number): number {
  return instant - ((((instant - opening) % DAY_MS) + DAY_MS) % DAY_MS)
}
