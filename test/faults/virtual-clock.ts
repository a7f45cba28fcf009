// A clock that can be moved forward for a whole database: everything that asks it for the time gets the virtual one,
// so that hours of waiting cost nothing. Processes keep their own clocks, as they do when theirs are wrong.
import pg from 'pg'
import type { TestDatabase } from '../support/database.ts'

export interface VirtualClock {
  /** Milliseconds since 1970. */
  now(): number
  /**
   * Moves the clock of the database and of `now` at one moment: while nobody reads the one, writes a message or waits
   * for Twilio.
   *
   * @param isQuiet asked while no message can be written
   * @returns false if it was not moved: it was not quiet, or some transaction did not end
   */
  advance(seconds: number, isQuiet: (client: pg.Client) => Promise<boolean>): Promise<boolean>
}

/** Shorter than PostgreSQL waits before it looks for a deadlock: it is the leap that gives way. */
const LOCK_TIMEOUT = '300ms'
const LOCK_NOT_AVAILABLE = '55P03'

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
    async advance(seconds, isQuiet) {
      const client = new pg.Client({ connectionString: database.url })
      await client.connect()
      try {
        await client.query(`begin; set local lock_timeout = '${LOCK_TIMEOUT}'`)
        // Exclusive, so that not even a row can be locked: a claim's time is read after its lock was granted.
        await client.query('lock table sms_usage_logs in exclusive mode')
        if (!(await isQuiet(client))) return false
        await client.query('lock table virtual.clock in access exclusive mode')
        await client.query('update virtual.clock set shift = shift + make_interval(secs => $1)', [seconds])
        shiftMs += seconds * 1000
        await client.query('commit')
        return true
      } catch (error) {
        if (error instanceof pg.DatabaseError && error.code === LOCK_NOT_AVAILABLE) return false
        throw error
      } finally {
        await client.end()
      }
    },
  }
}
