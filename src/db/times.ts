// Times in SQL that do not depend on the session's TimeZone, DateStyle or IntervalStyle. `created_at` and `next_retry_at`
// are `timestamp` in some tables and `timestamptz` in others. PostgreSQL converts between them by the session's TimeZone,
// which the app sets for an enqueue, and any client behind a pooler.

export type TimeColumn = 'created_at' | 'next_retry_at'

/** ISO 8601 with milliseconds, as JavaScript writes it. */
export const iso = (timestamptz: string): string =>
  `to_char((${timestamptz}) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** A column's value as a `timestamptz`. */
export const toInstantSql = (column: TimeColumn): string => `to_timestamp(extract(epoch from ${column}))`

/**
 * A finite `timestamptz` in the column's own type, to write it or to compare it with. The epoch is parsed by the column's
 * type, and an interval of seconds added to it: neither involves a time zone.
 */
export const castToColumnType = (column: TimeColumn, timestamptz: string): string =>
  `${timeIn(column, `'epoch'`)} + make_interval(secs => extract(epoch from ${timestamptz})::double precision)`

/**
 * The first of these literals and parameters that is not null, parsed by the column's own type. A time in ISO 8601 that
 * ends in Z means the same to both types: `timestamp` ignores the zone.
 */
export const timeIn = (column: TimeColumn, ...untyped: readonly string[]): string =>
  `coalesce((null::sms_usage_logs).${column}, ${untyped.join(', ')})`
