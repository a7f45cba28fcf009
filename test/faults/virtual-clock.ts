// A clock that can be moved forward for a whole database: everything that asks it for the time gets the virtual one,
// so that hours of waiting cost nothing. Processes keep their own clocks, as they do when theirs are wrong.
import type { TestDatabase } from '../support/database.ts'

export interface VirtualClock {
  /** Milliseconds since 1970. */
  now(): number
  advance(seconds: number): Promise<void>
}

/** The unqualified now() and clock_timestamp() of every new session, and pg-boss's own clock, are virtual from now on. */
export async function installVirtualClock(database: TestDatabase): Promise<VirtualClock> {
  await database.query('create schema virtual')
  await database.query('create table virtual.clock (shift interval not null)')
  await database.query("insert into virtual.clock values ('0')")
  for (const [name, volatility] of [
    ['now', 'stable'],
    ['clock_timestamp', 'volatile'],
  ]) {
    await database.query(
      `create function virtual.${name}() returns timestamptz language sql ${volatility}
         as 'select pg_catalog.${name}() + (select shift from virtual.clock)'`,
    )
  }
  await database.query(
    `create or replace function sms_retry_pgboss.job_now() returns timestamptz language sql stable
       as 'select virtual.now()'`,
  )
  const name = new URL(database.url).pathname.slice(1)
  await database.query(`alter database ${name} set search_path = virtual, pg_catalog, public`)
  let shiftMs = 0
  return {
    now: () => Date.now() + shiftMs,
    async advance(seconds) {
      await database.query('update virtual.clock set shift = shift + make_interval(secs => $1)', [seconds])
      shiftMs += seconds * 1000
    },
  }
}
