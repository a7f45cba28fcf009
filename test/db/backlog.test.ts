// Tests the counts of the backlog for rows of every kind, and that their cost does not depend on the size of the table.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { countQueued, readBacklog } from '../../src/db/backlog.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'
import { planOf, rowsReadBy } from './plan.ts'

let own: TestDatabase
let database: Database

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own)
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

beforeEach(() => own.query('truncate sms_usage_logs'))

interface Given {
  readonly status: string
  /** An SQL expression. */
  readonly nextRetryAt?: string
  readonly createdAt?: string
  readonly metadata?: string
  readonly direction?: string
}

async function insert({
  status,
  nextRetryAt = 'null',
  createdAt = 'now()',
  metadata = `'{}'`,
  direction = 'outbound',
}: Given): Promise<void> {
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, next_retry_at, created_at, sms_metadata)
     values (1, '+12065550100', $2, 5, 'Hello', $1, ${nextRetryAt}, (${createdAt}) at time zone 'UTC', ${metadata})`,
    [status, direction],
  )
}

const claimed = (ago: string): string =>
  `jsonb_build_object('attempts', jsonb_build_array(
     '{"number": 0, "times": {"submitting": "2020-01-01T00:00:00.000Z"}}'::jsonb,
     jsonb_build_object('number', 1, 'times', jsonb_build_object('submitting',
       to_char((now() - interval '${ago}') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))))`

async function backlog() {
  const { byStatus, oldestDueAt, due, deferred, inDoubt, now } = await readBacklog(database)
  const oldestDueSeconds = oldestDueAt === null ? null : (now.getTime() - oldestDueAt.getTime()) / 1000
  return { byStatus, oldestDueSeconds, counts: { due, deferred, inDoubt } }
}

test('the backlog of an empty table is empty', async () => {
  expect(await backlog()).toEqual({
    byStatus: {},
    oldestDueSeconds: null,
    counts: { inDoubt: 0, due: 0, deferred: 0 },
  })
})

test('the backlog counts our messages that are not final', async () => {
  for (const status of ['sent', 'sent', 'queued', 'delivered', 'failed', 'unknown']) await insert({ status })
  await insert({ status: 'sent', direction: 'inbound' })
  expect((await backlog()).byStatus).toEqual({ sent: 2, queued: 1 })
})

test.each<[what: string, given: Given, counts: object, oldest: [least: number, most: number] | null]>([
  [
    'a retry that is due',
    { status: 'retrying', nextRetryAt: `now() - interval '90 s'` },
    { due: 1 },
    [90, 150],
  ],
  [
    'a retry that is not due',
    { status: 'retrying', nextRetryAt: `now() + interval '90 s'` },
    { deferred: 1 },
    null,
  ],
  ['a retry set aside', { status: 'retrying', nextRetryAt: `'infinity'` }, { deferred: 1 }, null],
  ['a retry at -infinity', { status: 'retrying', nextRetryAt: `'-infinity'` }, { due: 1 }, null],
  ['a retry in the year 10000', { status: 'retrying', nextRetryAt: `'10000-01-01'` }, { deferred: 1 }, null],
  ['a retry in the year 44 BC', { status: 'retrying', nextRetryAt: `'0044-03-15 BC'` }, { due: 1 }, null],
  [
    'a first attempt, which waits since the message was created',
    { status: 'pending', createdAt: `now() - interval '5 s'` },
    { due: 1 },
    [5, 60],
  ],
  [
    'a postponed first attempt',
    { status: 'pending', createdAt: `now() - interval '5 s'`, nextRetryAt: `now() + interval '1 min'` },
    { deferred: 1 },
    null,
  ],
  [
    'a first attempt set aside',
    {
      status: 'pending',
      createdAt: `now() - interval '30 days'`,
      metadata: `'{"reconcile_at": "9999-12-31T00:00:00.000Z"}'`,
    },
    {},
    null,
  ],
  [
    'a first attempt that is checked in the year 9998',
    { status: 'pending', createdAt: `now() - interval '5 s'`, metadata: `'{"reconcile_at": "9998"}'` },
    { due: 1 },
    [5, 60],
  ],
  ['a message with Twilio', { status: 'sent', nextRetryAt: 'now()' }, {}, null],
])('the backlog counts %s', async (_what, given, counts, oldest) => {
  await insert(given)
  const { counts: counted, oldestDueSeconds } = await backlog()
  expect(counted).toEqual({ inDoubt: 0, due: 0, deferred: 0, ...counts })
  if (oldest === null || oldestDueSeconds === null) return expect(oldestDueSeconds).toBe(oldest)
  const [least, most] = oldest
  expect(oldestDueSeconds).toBeGreaterThanOrEqual(least)
  expect(oldestDueSeconds).toBeLessThanOrEqual(most)
})

describe('the number of messages in doubt counts', () => {
  test.each<[what: string, given: Given, inDoubt: number]>([
    ['an old claim', { status: 'submitting', metadata: claimed('40 s') }, 1],
    [
      'a claim of just now, whatever the attempts before',
      { status: 'submitting', metadata: claimed('1 s') },
      0,
    ],
    ['an answered claim', { status: 'sent', metadata: claimed('40 s') }, 0],
    ['an old row without entries', { status: 'submitting', createdAt: `now() - interval '40 s'` }, 1],
    ['a new row without entries', { status: 'submitting' }, 0],
    [
      'something else in its place, created just now',
      { status: 'submitting', metadata: `'{"attempts": "none"}'` },
      0,
    ],
    [
      'no metadata at all',
      { status: 'submitting', metadata: 'null', createdAt: `now() - interval '40 s'` },
      1,
    ],
  ])('%s', async (_what, given, inDoubt) => {
    await insert(given)
    expect((await backlog()).counts.inDoubt).toBe(inDoubt)
  })
})

test('the backlog is read from the index over messages in flight, and no other row is read', async () => {
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status)
     select 1, '+12065550100', 'outbound', 5, case when n % 100 = 0 then 'sent' else 'delivered' end
       from generate_series(1, 40000) n`,
  )
  await own.query('vacuum analyze sms_usage_logs')
  let statement = ''
  await readBacklog({
    async executeSql(text) {
      statement = text
      return { rows: [] }
    },
  })
  const [row] = await own.query<{ 'QUERY PLAN': [{ Plan: object }] }>(
    `explain (analyze, format json) ${statement}`,
  )
  const plan = JSON.stringify(row?.['QUERY PLAN'])
  expect(plan).not.toContain('"Seq Scan"')
  expect(plan).toContain('idx_sms_usage_logs_in_flight')
  expect((await backlog()).byStatus).toEqual({ sent: 400 })
})

describe('the jobs of a queue that wait', () => {
  const addJobs = (queue: string, count: number, state = 'created') =>
    own.query(
      `insert into sms_retry_pgboss.job (name, data, policy, state)
       select $1, '{}', 'standard', $3::sms_retry_pgboss.job_state from generate_series(1, $2::int)`,
      [queue, count, state],
    )

  beforeEach(() => own.query('delete from sms_retry_pgboss.job'))

  test('are counted by queue: new ones and repeated ones, and not those that are taken or done', async () => {
    await addJobs('outcome', 2)
    await addJobs('outcome', 1, 'retry')
    for (const state of ['active', 'completed', 'failed']) await addJobs('outcome', 5, state)
    await addJobs('outcome_failed', 4)
    expect(await countQueued(database, ['outcome_failed', 'outcome', 'reconcile'])).toEqual([4, 3, 0])
  })

  test('are read from an index, whatever the number of other jobs', async () => {
    await addJobs('attempt', 20_000)
    await addJobs('outcome', 20_000, 'completed')
    await addJobs('outcome_failed', 50)
    await own.query('vacuum analyze')
    const { scans } = await planOf(own, (db) => countQueued(db, ['outcome', 'outcome_failed']))
    const ofJobs = scans.filter((node) => node['Node Type'] !== 'Function Scan')
    expect(ofJobs.map((node) => node['Node Type'])).not.toContain('Seq Scan')
    expect(ofJobs.reduce((sum, node) => sum + rowsReadBy(node), 0)).toBeLessThan(500)
  })
})
