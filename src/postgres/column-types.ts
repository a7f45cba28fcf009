// How the columns that our statements give are read. pg's own parsers are the whole process's, and many an app has set
// some of them, above all those of times, of JSON and of bigint.
import pg from 'pg'

const { BOOL, FLOAT8, INT4, INT8, JSON: JSON_TEXT, JSONB, TIMESTAMP, TIMESTAMPTZ } = pg.types.builtins

const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map([
  [BOOL, (text) => text === 't'],
  [INT4, Number],
  // Users' tables may have it for any of our integers; none of them comes near 2^53.
  [INT8, Number],
  [FLOAT8, Number],
  [JSON_TEXT, (text) => JSON.parse(text)],
  [JSONB, (text) => JSON.parse(text)],
  // The column types of users' tables differ: both are UTC, which every session of ours runs in.
  [TIMESTAMP, readTime],
  [TIMESTAMPTZ, readTime],
])

/** All others are read as the app has set them, as far as it has. */
export const columnTypes = {
  getTypeParser: (oid: number, format: 'text' | 'binary' = 'text') =>
    (format === 'text' ? PARSERS.get(oid) : undefined) ?? pg.types.getTypeParser(oid, format as 'text'),
} as pg.CustomTypesConfig

/** In the years that have four digits; `+00`, or `+05:30`, comes behind a time that has a zone. */
const TIME = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(?:([+-]\d\d)(:\d\d)?)?$/

/**
 * What is beyond those years is a number, as the two infinities are to pg.
 *
 * @throws if the session's DateStyle is not ISO
 */
function readTime(text: string): Date | number {
  const [, day, time, hours, minutes = ':00'] = TIME.exec(text) ?? []
  if (day !== undefined) return new Date(`${day}T${time}${hours === undefined ? 'Z' : hours + minutes}`)
  if (/^-infinity$|BC$/.test(text)) return -Infinity
  if (/^infinity$|^\d{5,}-/.test(text)) return Infinity
  throw new Error(`PostgreSQL gave a time that cannot be read: ${text}`)
}
