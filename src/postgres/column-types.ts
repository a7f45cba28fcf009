// How the columns that our statements return are read. pg's own parsers belong to the whole process, and many apps replace
// some of them, above all those of times, JSON and bigint.
import pg from 'pg'

const { BOOL, FLOAT8, INT4, INT8, JSON: JSON_TEXT, JSONB, TIMESTAMP, TIMESTAMPTZ } = pg.types.builtins

const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map([
  [BOOL, (text) => text === 't'],
  [INT4, Number],
  // A user's table may use bigint for any of our integers. Only the app's user ids may be above 2^53 - 1.
  [INT8, (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : text)],
  [FLOAT8, Number],
  [JSON_TEXT, (text) => JSON.parse(text)],
  [JSONB, (text) => JSON.parse(text)],
  // Users' tables have either type. Both are UTC, the time zone of all our sessions.
  [TIMESTAMP, readTime],
  [TIMESTAMPTZ, readTime],
])

/** All other types are read by the parsers of the app, or by those of pg. */
export const columnTypes = {
  getTypeParser: (oid: number, format: 'text' | 'binary' = 'text') =>
    (format === 'text' ? PARSERS.get(oid) : undefined) ?? pg.types.getTypeParser(oid, format as 'text'),
} as pg.CustomTypesConfig

/** A time in a year of four digits. A time with a zone ends in `+00` or `+05:30`. In JSON, the day ends with a T. */
const TIME = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?)(?:([+-]\d\d)(:\d\d)?)?$/

/**
 * Times outside those years become an infinite number, as pg reads the two infinities.
 *
 * @throws if the session's DateStyle is not ISO
 */
export function readTime(text: string): Date | number {
  const [, day, time, hours, minutes = ':00'] = TIME.exec(text) ?? []
  if (day !== undefined) return new Date(`${day}T${time}${hours === undefined ? 'Z' : hours + minutes}`)
  if (/^-infinity$|BC$/.test(text)) return -Infinity
  if (/^infinity$|^\d{5,}-/.test(text)) return Infinity
  throw new Error(`PostgreSQL returned a time that cannot be read; DateStyle must be ISO: ${text}`)
}
