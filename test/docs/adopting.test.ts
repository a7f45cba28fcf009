// docs/adopting.md: its SQL, run in order on the table as users have it, and what it says of code that calls Twilio itself.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { OWN_METADATA_KEYS } from '../../src/db/message-row.ts'
import { migrate } from '../../src/processes/migrate.ts'
import { reconcile } from '../../src/messages/reconcile.ts'
import { COLUMNS_WITHOUT_ZONE, configOf, ORIGINAL_ROWS, ORIGINAL_TABLE } from '../db/original-table.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { newProcess, newTimedWorld } from '../support/timed-world.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import { rowOf } from '../support/world-with.ts'

const text = await readFile(new URL('../../docs/adopting.md', import.meta.url), 'utf8')
const blocks = [...text.matchAll(/^```sql\n(.*?)^```$/gms)].map(([, block = '']) => block)

/** The one block that has these words. */
function blockWith(words: string): string {
  const found = blocks.filter((block) => block.includes(words))
  expect(found).toHaveLength(1)
  return found[0] ?? ''
}

test('our keys in the metadata are named', () => {
  const sentence = /In `sms_metadata` our keys are (.*?);/s.exec(text)?.[1] ?? ''
  const named = [...sentence.matchAll(/`(\w+)`/g)].map(([, key]) => key)
  expect(named.toSorted()).toEqual([...OWN_METADATA_KEYS].toSorted())
})

describe.each([
  ['the table without our columns', ''],
  ['the table with the five columns, without time zone', COLUMNS_WITHOUT_ZONE],
])('the SQL, on %s', (_what, columns) => {
  let own: TestDatabase

  beforeAll(async () => {
    own = await createTestDatabase(null)
    for (const statement of [ORIGINAL_TABLE, ORIGINAL_ROWS, columns]) await own.query(statement)
    await migrate(configOf(own), silentLogger)
  })
  afterAll(() => own.drop())

  /** Each statement by itself, as `concurrently` needs it. */
  async function run(words: string): Promise<Record<string, unknown>[]> {
    let rows: Record<string, unknown>[] = []
    const statements = blockWith(words).split(/;$/m)
    for (const statement of statements) if (statement.trim() !== '') rows = await own.query(statement)
    return rows
  }

  const insert = (id: number, columns: string, values: string): Promise<unknown> =>
    own.query(
      `insert into sms_usage_logs (id, user_id, phone_number, message_direction, message_length, ${columns})
       values (${id}, 1, '+12065550100', 'outbound', 5, ${values})`,
    )
  const read = async (id: number): Promise<Record<string, unknown>> =>
    (await own.query('select *, next_retry_at::text as due from sms_usage_logs where id = $1', [id]))[0] ?? {}

  test('what the rows say', async () => {
    const rows = await run('as newer')
    expect(rows).toEqual([{ status: 'unknown', rows: '3', newer: '0', with_time: '0', with_sid: '0' }])
  })

  test('words that are meant otherwise are taken back; what sms-retry has written stays', async () => {
    await insert(42, 'final_status', "'pending'")
    await insert(43, 'final_status, sms_metadata', `'retrying', '{"attempts": []}'`)
    await run("set final_status = 'unknown'")
    expect(await read(42)).toMatchObject({ final_status: 'unknown' })
    expect(await read(43)).toMatchObject({ final_status: 'retrying' })
  })

  test('local times are corrected', async () => {
    expect(await run('show timezone')).toHaveLength(1)
    await own.query('alter table sms_usage_logs alter column next_retry_at type timestamp')
    await insert(44, 'final_status, next_retry_at', `'retrying', '2026-07-01 08:00'`)
    await run('America/New_York')
    expect(await read(44)).toMatchObject({ due: '2026-07-01 12:00:00' })
  })

  test('sid and status in one statement', async () => {
    await run('SM00000000000000000000000000000001')
    expect(await read(42)).toMatchObject({ final_status: 'queued', twilio_message_sid: expect.any(String) })
  })

  test('watching, for those of the sender', async () => {
    const rows = await run('as retries')
    expect(rows).toEqual([expect.objectContaining({ final_status: 'retrying', count: '1' })])
  })

  test('what waits is called off', async () => {
    await run("'canceled'")
    expect([await read(43), await read(44)].map((row) => row['final_status'])).toEqual([
      'canceled',
      'canceled',
    ])
  })

  test('what is dropped leaves the table as it was; migrating again brings it back, rows and all', async () => {
    const before = await own.query('select * from sms_usage_logs order by id')
    await run('drop schema')
    expect(await leftovers()).toEqual({ schemas: 0, indexes: 1, columns: 16 })
    await migrate(configOf(own), silentLogger)
    expect(await own.query('select * from sms_usage_logs order by id')).toEqual(before)
    await run('drop schema')
    await run('drop column')
    expect(await leftovers()).toEqual({ schemas: 0, indexes: 1, columns: 11 })
    await migrate(configOf(own), silentLogger)
  })

  async function leftovers(): Promise<unknown> {
    const [row] = await own.query(
      `select (select count(*)::int from pg_namespace where nspname like 'sms\\_retry%') as schemas,
              (select count(*)::int from pg_index where indrelid = 'sms_usage_logs'::regclass) as indexes,
              (select count(*)::int from information_schema.columns where table_name = 'sms_usage_logs') as columns`,
    )
    return row
  }
})

test('every block of SQL is run', () => {
  expect(blocks).toHaveLength(9)
})

describe('code that calls Twilio itself', () => {
  /** Fails at first with 30001, by a callback, then gets through. */
  const FAILS_ONCE = '+15553000101'
  let submissions = 0

  async function submit({ simulator, env }: World, withCallback: boolean): Promise<string> {
    const login = Buffer.from(`${simulator.accountSid}:${simulator.authToken}`).toString('base64')
    const callback = { StatusCallback: `${env['PUBLIC_BASE_URL']}/twilio/status` }
    // The simulator takes a second submission of one text for a second attempt.
    submissions += 1
    const form = {
      From: '+12065550100',
      To: FAILS_ONCE,
      Body: `Hello ${submissions}`,
      ...(withCallback ? callback : {}),
    }
    const response = await fetch(
      `${simulator.url}/2010-04-01/Accounts/${simulator.accountSid}/Messages.json`,
      { method: 'POST', headers: { Authorization: `Basic ${login}` }, body: new URLSearchParams(form) },
    )
    return ((await response.json()) as { sid: string }).sid
  }

  async function insertRow(
    { database }: World,
    status: string,
    sid: string | null,
    text = 'Hello',
  ): Promise<number> {
    const [row] = await database.query<{ id: number }>(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                   final_status, twilio_message_sid, created_at)
       values (1, $1, 'outbound', 5, nullif($2, ''), $3, $4, now() at time zone 'UTC') returning id`,
      [FAILS_ONCE, text, status, sid],
    )
    return row?.id ?? Number.NaN
  }

  describe('and writes the sid before the callbacks come', () => {
    let world: World
    beforeAll(async () => {
      world = await startWorld({ simulator: { callbackDelayMs: 500 } })
      await world.startWorker()
    })
    afterAll(() => world.stop())

    test.each([
      ['unknown'],
      ['queued'],
    ])('a sid that is there in time, and %s: failed, then retried', async (status) => {
      const id = await insertRow(world, status, await submit(world, true))
      await waitFor('it to be delivered', async () => (await rowOf(world, id)).final_status === 'delivered')
      expect((await rowOf(world, id)).retry_count).toBe(1)
    })

    test('without a text it is followed, not retried', async () => {
      const id = await insertRow(world, 'queued', await submit(world, true), '')
      await waitFor('it to fail', async () => (await rowOf(world, id)).final_status === 'failed')
      expect((await rowOf(world, id)).error_message).toMatch(/the row has no text/)
    })
  })

  test.each([
    ['sid and status written after the callbacks', 'queued', true, 'retrying'],
    ['no statusCallback', 'queued', false, 'retrying'],
    ['the sid alone, after the callbacks', 'unknown', true, 'unknown'],
  ])('%s (%s): five minutes later', async (_what, status, withCallback, becomes) => {
    const world = await newTimedWorld({ chaos: { dropCallbacks: 0 } })
    const sid = await submit(world, withCallback)
    await world.simulator.idle()
    const id = await insertRow(world, status, sid)
    await world.pass(301)
    await reconcile(await newProcess(world))
    expect((await rowOf(world, id)).final_status).toBe(becomes)
  })

  test('a submitting of its own is sent, if Twilio does not list it', async () => {
    const world = await newTimedWorld()
    const id = await insertRow(world, 'submitting', null)
    await world.pass(60)
    expect(await reconcile(await newProcess(world))).toMatchObject({ absent: 1 })
    expect((await rowOf(world, id)).final_status).toBe('pending')
  })
})
