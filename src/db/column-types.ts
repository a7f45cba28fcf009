// How the columns that our statements give are read: as pg reads them by default. pg's own parsers are the whole
// process's, and many an app has set some of them, above all those of times and of JSON.
import pg from 'pg'

const { BOOL, FLOAT8, INT4, JSON: JSON_TEXT, JSONB, TIMESTAMP, TIMESTAMPTZ } = pg.types.builtins

/** Not those of `bigint`: whatever the app has made of one is good enough for `Number`, by which we read it. */
const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map([
  [BOOL, (text) => text === 't'],
  [INT4, Number],
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

/** What is beyond those years is a number, as the two infinities are to pg. */
function readTime(text: string): Date | number {
  const [, day, time, hours, minutes = ':00'] = TIME.exec(text) ?? []
  if (day === undefined) return text.startsWith('-') || text.endsWith('BC') ? -Infinity : Infinity
  return new Date(`${day}T${time}${hours === undefined ? 'Z' : hours + minutes}`)
}
