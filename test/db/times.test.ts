// Tests that times are written, compared and read in the same way in sessions of every time zone and with both column types.
// An enqueue runs in the caller's session, and behind a pooler any session may have other settings.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { countInDoubt, readBacklog } from '../../src/db/backlog.ts'
import { nextDueMs } from '../../src/db/next-due-retry.ts'
import { countFailures } from '../../src/db/failures.ts'
import { lockMessages, updateMessages } from '../../src/db/messages.ts'
import { countMessages, countMessagesByTime } from '../../src/db/overview.ts'
import { type Database, dbOfCaller } from '../../src/postgres/pool.ts'
import { pruneWindow } from '../../src/db/prunable-messages.ts'
import { searchMessages } from '../../src/db/search.ts'
import { toSearch } from '../../src/messages/message-filter.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { insertMessage, NEW_MESSAGE } from './new-message.ts'
import { open } from './original-table.ts'

const ZONES = ['UTC', 'America/New_York', 'America/St_Johns', 'Asia/Tokyo', 'Pacific/Auckland']

/** The types of both columns, including domains of the app. */
const TYPES = ['timestamp', 'timestamptz', 'app_time', 'app_time_with_zone']
const DOMAINS = [
  `create domain app_time as timestamp check (value > '2000-01-01')`,
  'create domain app_time_with_zone as timestamptz',
]

/** The maximum duration of a test on a busy machine; the tested time zones differ by more. */
const SOON_MS = 20 * 60_000
const MINUTE_MS = 60_000

describe.each(TYPES)('with columns of type %s', (type) => {
  let own: TestDatabase
  beforeAll(async () => {
    own = await createTestDatabase()
    for (const statement of DOMAINS) await own.query(statement)
    await own.query(
      `alter table sms_usage_logs
         alter column created_at drop default,
         alter column created_at type ${type} using created_at at time zone 'UTC',
         alter column next_retry_at type ${type} using next_retry_at at time zone 'UTC'`,
    )
  })
  afterAll(() => own.drop())
  beforeEach(() => own.query('truncate sms_usage_logs'))

  /** Computed independently of the session: a `timestamp` is in UTC. */
  async function epochMsOf(column: string, id: number): Promise<number> {
    const [row] = await own.query<{ ms: number | null }>(
      `select (extract(epoch from ${column}) * 1000)::float8 as "ms" from sms_usage_logs where id = $1`,
      [id],
    )
    return row?.ms ?? Number.NaN
  }

  describe.each(ZONES)('in a session in %s', (zone) => {
    const settings = [
      `set time zone '${zone}'`,
      `set datestyle = 'SQL, DMY'`,
      `set intervalstyle = 'sql_standard'`,
      'set standard_conforming_strings = off',
      'set transform_null_equals = on',
      'set extra_float_digits = -15',
    ]

    test("a message inserted in the caller's transaction has the exact time of its insertion", async () => {
      const caller = new pg.Client({ connectionString: own.url })
      await caller.connect()
      for (const setting of settings) await caller.query(setting)
      await caller.query('begin')
      const inserted = await insertMessage(dbOfCaller(caller), { ...NEW_MESSAGE, validForSeconds: 60 })
      const { rows } = await caller.query<{ isSame: boolean; secondsLeft: number }>(
        `select extract(epoch from created_at) = extract(epoch from now()) as "isSame",
                extract(epoch from (sms_metadata ->> 'deadline')::timestamptz - now())::integer as "secondsLeft"
           from sms_usage_logs where id = $1`,
        [inserted?.id],
      )
      await caller.query('commit')
      await caller.end()
      expect(rows).toEqual([{ isSame: true, secondsLeft: 60 }])
    })

    describe('an sms-retry process', () => {
      let database: Database
      /** A new message that waits for a retry in ten minutes, and one that was created an hour earlier. */
      let [retrying, older] = [0, 0]
      let dueAt: Date

      beforeEach(async () => {
        database = open(own, 1)
        await database.executeSql(`set time zone '${zone}'`)
        ;[retrying = 0, older = 0] = [await insert(), await insert()]
        dueAt = new Date(Date.now() + 10 * MINUTE_MS)
        await database.transaction(async (tx) => {
          const [locked] = await lockMessages(tx, [retrying], [])
          if (locked === undefined) throw new Error('the row was not found')
          const { message } = locked
          const changed = { status: 'retrying', success: false, retryCount: 1, nextRetryAt: dueAt } as const
          updateMessages(tx, [{ ...message, ...changed }], () => undefined)
        })
        await own.query(
          `update sms_usage_logs set created_at = created_at - interval '1 hour' where id = $1`,
          [older],
        )
      })

      const insert = async (): Promise<number> =>
        (await insertMessage(database, { ...NEW_MESSAGE, status: 'submitting' }))?.id ?? 0

      // One test, because more tests would only need more tables.
      test('writes and reads the exact time of the next retry', async () => {
        expect(await epochMsOf('next_retry_at', retrying)).toBe(dueAt.getTime())
        const [locked] = await database.transaction((tx) => lockMessages(tx, [retrying], []))
        expect(locked?.message.nextRetryAt).toEqual(dueAt)
        expect(locked?.message.createdAt.getTime()).toBeCloseTo(await epochMsOf('created_at', retrying), -1)
        expect(Math.abs((locked?.now.getTime() ?? Number.NaN) - Date.now())).toBeLessThan(SOON_MS)
        await database.close()
      })

      test('finds what is due, and when the next retry is due', async () => {
        const dueMs = (await nextDueMs(database)) ?? Number.NaN
        expect(dueMs).toBeLessThanOrEqual(10 * MINUTE_MS)
        expect(dueMs).toBeGreaterThan(0)
        expect(await readBacklog(database)).toMatchObject({ due: 0, deferred: 1, nextDueAt: dueAt })
        await own.query(`update sms_usage_logs set next_retry_at = next_retry_at - interval '30 minutes'`)
        expect(await readBacklog(database)).toMatchObject({ due: 1, deferred: 0 })
        expect(await nextDueMs(database)).toBeNull()
        await database.close()
      })

      test('finds the messages of the last half hour, and older ones', async () => {
        const halfHour = 30 * 60
        const since = new Date(Date.now() - halfHour * 1000)
        expect(await countMessages(database, halfHour)).toMatchObject({ messages: 1, retrying: 1 })
        const { whole } = await countMessagesByTime(database, { seconds: halfHour, bucketSeconds: 600 })
        expect(whole).toMatchObject({ messages: 1 })
        await own.query(`update sms_usage_logs set sms_metadata = sms_metadata || $1`, [
          '{"attempts": [{"number": 0, "status": "failed", "error_code": 30003}]}',
        ])
        expect((await countFailures(database, halfHour)).codes).toMatchObject([{ code: 30003, messages: 1 }])
        // Without the time of a claim, the time of the row counts.
        expect(await countInDoubt(database, halfHour)).toBe(0)
        expect(await countInDoubt(database, 4 * halfHour)).toBe(1)

        const search = toSearch({}, new Date())
        const find = async (span: object): Promise<number[]> =>
          (await searchMessages(database, { ...search, ...span }, null, { limit: 10 })).messages.map(
            ({ id }) => id,
          )
        expect(await find({ since })).toEqual([retrying])
        expect(await find({ until: since })).toEqual([older])
        const first = await searchMessages(database, search, null, { limit: 1 })
        const second = await searchMessages(database, search, first.next, { limit: 1 })
        const pages = [first, second].map(({ messages }) => messages.map(({ id }) => id))
        expect(pages).toEqual([[retrying], [older]])

        await own.query(`update sms_usage_logs set final_status = 'delivered'`)
        const window = { createdBefore: since, after: null, limit: 10 }
        const pruned = await pruneWindow(database, 'count rows', window)
        expect(pruned).toMatchObject({ pruned: 1, last: { id: older } })
        expect(await pruneWindow(database, 'count rows', { ...window, after: pruned.last })).toEqual({
          pruned: 0,
          last: null,
        })
        await database.close()
      })
    })
  })
})
