// What there is to be done: against rows of every kind, and at the same cost on a table of any size.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { readBacklog } from '../../src/db/backlog.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'

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
  /** SQL. */
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

test('an empty table has none of anything', async () => {
  expect(await backlog()).toEqual({
    byStatus: {},
    oldestDueSeconds: null,
    counts: { inDoubt: 0, due: 0, deferred: 0 },
  })
})

test('messages count that are not final and are ours', async () => {
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
  ['one that is not', { status: 'retrying', nextRetryAt: `now() + interval '90 s'` }, { deferred: 1 }, null],
  ['one on hold', { status: 'retrying', nextRetryAt: `'infinity'` }, { deferred: 1 }, null],
  ['one since ever', { status: 'retrying', nextRetryAt: `'-infinity'` }, { due: 1 }, null],
  ['one in the year 10000', { status: 'retrying', nextRetryAt: `'10000-01-01'` }, { deferred: 1 }, null],
  ['one since the year 44 BC', { status: 'retrying', nextRetryAt: `'0044-03-15 BC'` }, { due: 1 }, null],
  [
    'a first attempt that waits, since the message was created',
    { status: 'pending', createdAt: `now() - interval '5 s'` },
    { due: 1 },
    [5, 60],
  ],
  [
    'a first attempt that was put off',
    { status: 'pending', createdAt: `now() - interval '5 s'`, nextRetryAt: `now() + interval '1 min'` },
    { deferred: 1 },
    null,
  ],
  [
    'one that somebody else left behind long ago, and that is not sent',
    {
      status: 'pending',
      createdAt: `now() - interval '30 days'`,
      metadata: `'{"reconcile_at": "9999-12-31T00:00:00.000Z"}'`,
    },
    {},
    null,
  ],
  [
    'one that is looked at in the year 9998',
    { status: 'pending', createdAt: `now() - interval '5 s'`, metadata: `'{"reconcile_at": "9998"}'` },
    { due: 1 },
    [5, 60],
  ],
  ['what is with Twilio waits for nothing', { status: 'sent', nextRetryAt: 'now()' }, {}, null],
])('%s', async (_what, given, counts, oldest) => {
  await insert(given)
  const { counts: counted, oldestDueSeconds } = await backlog()
  expect(counted).toEqual({ inDoubt: 0, due: 0, deferred: 0, ...counts })
  if (oldest === null || oldestDueSeconds === null) return expect(oldestDueSeconds).toBe(oldest)
  const [least, most] = oldest
  expect(oldestDueSeconds).toBeGreaterThanOrEqual(least)
  expect(oldestDueSeconds).toBeLessThanOrEqual(most)
})

describe('in doubt', () => {
  test.each<[what: string, given: Given, inDoubt: number]>([
    ['a claim of long ago', { status: 'submitting', metadata: claimed('40 s') }, 1],
    [
      'a claim of just now, whatever the attempts before',
      { status: 'submitting', metadata: claimed('1 s') },
      0,
    ],
    ['an answered claim', { status: 'sent', metadata: claimed('40 s') }, 0],
    ['no entry, created long ago', { status: 'submitting', createdAt: `now() - interval '40 s'` }, 1],
    ['no entry, created just now', { status: 'submitting' }, 0],
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

test('is read off the index of messages in flight, and no other row is looked at', async () => {
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
