// Times in SQL that mean the same in every session. `created_at` and `next_retry_at` are `timestamp` in one user's table and
// `timestamptz` in another's; compared with or assigned to each other, PostgreSQL converts them by the session's
// TimeZone, which is the caller's in an enqueue, and anybody's behind a pooler. Nothing here depends on it, nor on
// DateStyle or IntervalStyle.

export type TimeColumn = 'created_at' | 'next_retry_at'

/** ISO 8601 with milliseconds, as JavaScript writes it. */
export const iso = (timestamptz: string): string =>
  `to_char((${timestamptz}) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** A column's value as a `timestamptz`. */
export const toInstantSql = (column: TimeColumn): string => `to_timestamp(extract(epoch from ${column}))`

/**
 * A finite `timestamptz` in the column's own type, to write it or to compare it with: so many seconds after the epoch,
 * which the column's type reads itself. An interval of seconds alone knows no time zone.
 */
export const castToColumnType = (column: TimeColumn, timestamptz: string): string =>
  `${timeIn(column, `'epoch'`)} + make_interval(secs => extract(epoch from ${timestamptz})::double precision)`

/**
 * The first of these literals and parameters that is not null, read by the column's own type. A time in ISO 8601 that
 * ends in Z means the same to both types: `timestamp` ignores the zone.
 */
export const timeIn = (column: TimeColumn, ...untyped: readonly string[]): string =>
  `coalesce((null::sms_usage_logs).${column}, ${untyped.join(', ')})`
