// Tests the queries of the dashboard: their results against simple SQL, and their index.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { countInDoubt, readBacklog } from '../../src/db/backlog.ts'
import { readCodeFigures, readFailedAttempts } from '../../src/db/failed-attempts.ts'
import { countFailures, MAX_READ_FAILURES } from '../../src/db/failures.ts'
import { countLost } from '../../src/db/lost.ts'
import { countMessages, countMessagesByTime } from '../../src/db/overview.ts'
import type { Database, Db } from '../../src/postgres/pool.ts'
import { type Cursor, type Search, searchMessages } from '../../src/db/search.ts'
import { readMetadata, toSearch } from '../../src/messages/message-filter.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'

const ROWS = 40_000
const DAY = 86_400

let own: TestDatabase
let database: Database

/**
 * One message every 1.5 minutes, for more than 30 days. Of every 20, one failed twice and was delivered, one failed for
 * good, one waits, one is canceled, one is being submitted, and one is not ours. No claim is close to the 30 s after which
 * it is in doubt, so the duration of the test does not matter.
 */
beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own)
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                                 final_status, success, next_retry_at, retry_count, twilio_message_sid, sms_metadata)
     select n % 7, '+1206' || lpad((n * 7919 % 10000000)::text, 7, '0'),
            case when kind = 6 then 'inbound' else 'outbound' end, 600, repeat('Hello ', 100), now() at time zone 'UTC' - n * interval '90 s',
            case kind when 2 then 'undelivered' when 3 then 'retrying' when 4 then 'canceled' when 5 then 'submitting'
                      else 'delivered' end,
            kind not in (2, 3), case when kind = 3 then now() + (n % 40 - 20) * interval '1 min' end,
            case kind when 1 then 2 when 2 then 1 when 3 then 1 else 0 end,
            case when kind <> 5 then 'SM' || md5(n::text) end,
            jsonb_build_object('attempts', case kind
              when 1 then jsonb_build_array(
                jsonb_build_object('number', 0, 'status', 'undelivered', 'error_code', 30003, 'times',
                  '{"submitting": "2026-07-01T12:00:00.000Z", "undelivered": "2026-07-01T12:00:10.000Z"}'::jsonb),
                jsonb_build_object('number', 1, 'status', 'undelivered', 'error_code', 30003, 'times',
                  '{"submitting": "2026-07-01T12:05:10.000Z", "undelivered": "2026-07-01T12:05:20.000Z"}'::jsonb),
                jsonb_build_object('number', 2, 'status', 'delivered', 'times',
                  '{"submitting": "2026-07-01T12:15:20.000Z", "delivered": "2026-07-01T12:15:30.000Z"}'::jsonb))
              when 2 then jsonb_build_array(
                jsonb_build_object('number', 0, 'status', 'failed', 'error_code', 30001, 'times',
                  '{"submitting": "2026-07-01T12:00:00.000Z", "failed": "2026-07-01T12:00:10.000Z"}'::jsonb),
                jsonb_build_object('number', 1, 'status', 'undelivered', 'error_code', 30006, 'times',
                  '{"submitting": "2026-07-01T12:01:10.000Z", "undelivered": "2026-07-01T12:01:20.000Z"}'::jsonb))
              when 3 then jsonb_build_array(
                jsonb_build_object('number', 0, 'status', 'undelivered', 'error_code', 30003, 'times',
                  '{"undelivered": "2026-07-01T12:00:10.000Z"}'::jsonb),
                '{"number": 1, "status": "pending"}'::jsonb)
              when 5 then jsonb_build_array(jsonb_build_object('number', 0, 'status', 'submitting', 'times',
                  jsonb_build_object('submitting', to_char(now() at time zone 'UTC' + (50 - n % 100) * interval '1 h',
                                                           'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))))
              else '[]'::jsonb end, 'order', n % 400, 'shop', jsonb_build_object('city', 'c' || n % 9))
       from (select n, n % 20 as kind from generate_series(1, ${ROWS}) as n) as s`,
  )
  // Commits are asynchronous here, but pages are marked all-visible only after the commits are on disk.
  await own.query('checkpoint')
  await own.query('vacuum analyze sms_usage_logs')
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

async function truth(question: string): Promise<number> {
  const [row] = await own.query<{ n: string | null }>(
    `select (select ${question} from sms_usage_logs where message_direction <> 'inbound')::text as "n"`,
  )
  return Number(row?.n)
}

const within = (seconds: number): string => `created_at >= now() at time zone 'UTC' - interval '${seconds} s'`

describe.each([
  ['an hour', { seconds: 3600, bucketSeconds: 300 }],
  ['a day', { seconds: DAY, bucketSeconds: 3600 }],
  ['30 days', { seconds: 30 * DAY, bucketSeconds: DAY }],
])('the overview of the last %s', (_what, span) => {
  test('has the counts of simple SQL, and its parts add up', async () => {
    const { whole, buckets } = await countMessagesByTime(database, span)
    expect(whole).toEqual(await countMessages(database, span.seconds))
    expect(whole.messages).toBe(await truth(`count(*) filter (where ${within(span.seconds)})`))
    expect(whole.deliveredByRetry).toBe(
      await truth(
        `count(*) filter (where ${within(span.seconds)} and final_status = 'delivered' and retry_count > 0)`,
      ),
    )
    expect(whole.failedAfterRetry).toBe(
      await truth(
        `count(*) filter (where ${within(span.seconds)} and final_status = 'undelivered' and retry_count > 0)`,
      ),
    )
    expect(whole.messages).toBeGreaterThan(30)
    for (const figure of ['messages', 'deliveredAtFirst', 'failed', 'inFlight', 'retries'] as const) {
      expect(buckets.reduce((sum, bucket) => sum + bucket[figure], 0)).toBe(whole[figure])
    }
    const starts = buckets.map(({ start }) => start.getTime() / 1000)
    expect(starts.slice(1).map((start, i) => start - (starts[i] ?? 0))).toEqual(
      Array(starts.length - 1).fill(span.bucketSeconds),
    )
  })

  test('has parts that begin with a bucket and count what was created in it', async () => {
    const { buckets } = await countMessagesByTime(database, span)
    const middle = buckets[Math.floor(buckets.length / 2)]
    const start = middle?.start.toISOString()
    expect(middle?.messages).toBe(
      await truth(
        `count(*) filter (where created_at >= '${start}'::timestamp
                            and created_at < '${start}'::timestamp + interval '${span.bucketSeconds} s')`,
      ),
    )
  })

  test('has the number of messages in doubt', async () => {
    const claimed = `(sms_metadata #>> '{attempts,0,times,submitting}')::timestamptz`
    const inDoubt = `count(*) filter (where ${within(span.seconds)} and final_status = 'submitting' and ${claimed} < now() - interval '30 s')`
    expect(await countInDoubt(database, span.seconds)).toBe(await truth(inDoubt))
  })
})

/** These rows were written before attempts kept their segments. */
const costOf = (retries: number) => ({ retries, segments: 0, segmentsUnknown: retries })

test('failures are counted by code, with recovered messages and the outcome of each retry', async () => {
  const { codes, isComplete } = await countFailures(database, 10 * DAY)
  const [first, ...others] = codes
  expect(isComplete).toBe(true)
  const of = (kind: number): string => `count(*) filter (where ${within(10 * DAY)} and id % 20 = ${kind})`
  const recovered = await truth(of(1))
  const waiting = await truth(of(3))
  const failed = await truth(of(2))
  expect(recovered).toBeGreaterThan(450)
  expect(first).toEqual({
    code: 30003,
    attempts: 2 * recovered + waiting,
    messages: recovered + waiting,
    recovered,
    retries: [
      { retry: 1, made: recovered, delivered: 0, delaySeconds: 300 },
      { retry: 2, made: recovered, delivered: recovered, delaySeconds: 600 },
    ],
    cost: costOf(2 * recovered),
  })
  expect(others).toEqual([
    {
      code: 30001,
      attempts: failed,
      messages: failed,
      recovered: 0,
      retries: [{ retry: 1, made: failed, delivered: 0, delaySeconds: 60 }],
      cost: costOf(failed),
    },
    { code: 30006, attempts: failed, messages: failed, recovered: 0, retries: [], cost: costOf(0) },
  ])
})

test('only the newest failures are counted if there are too many', async () => {
  const { codes, isComplete } = await countFailures(database, 30 * DAY)
  expect(isComplete).toBe(false)
  const messages = codes.filter(({ code }) => code !== 30006).reduce((sum, each) => sum + each.messages, 0)
  // One in four of these messages is canceled, and has no failure.
  expect(messages).toBeGreaterThan(MAX_READ_FAILURES * 0.74)
  expect(messages).toBeLessThan(MAX_READ_FAILURES * 0.76)
})

test('invalid values under our keys do not break the counts', async () => {
  const [row] = await own.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, sms_metadata)
     select 1, '+12065550100', 'outbound', 0, 'failed', metadata
       from unnest($1::jsonb[]) as metadata returning id`,
    [
      [
        '{"attempts": "none"}',
        '{"attempts": {"status": "failed"}}',
        '[1]',
        'null',
        '{"attempts": [{"status": "failed", "error_code": "9x", "times": {"failed": "soon"}}, {"number": 1e99}]}',
        '{"attempts": [null, 1, [], {"status": "failed", "error_code": 99999999999}]}',
        ...[
          '2026-02-30T10:00:00Z',
          '2026-01-00T10:00:00Z',
          '0000-01-01T10:00:00Z',
          '2026-01-01T10:00:00 maybe',
        ].map(
          (failed) =>
            `{"attempts": [{"number": 0, "status": "failed", "times": {"failed": "${failed}"}},
                           {"number": 1, "status": "failed", "times": {"submitting": "${failed}"}}]}`,
        ),
      ],
    ],
  )
  const without = (await countFailures(database, DAY)).codes.find(({ code }) => code === null)
  expect(without).toMatchObject({ attempts: 10, messages: 6, recovered: 0 })
  await own.query('delete from sms_usage_logs where id >= $1', [row?.id])
})

test('the delay of retries is the mean over all rows with valid times', async () => {
  const delaysOf = async (pauses: [failedAt: string, claimedAt: string][]): Promise<unknown> => {
    const [row] = await own.query<{ id: number }>(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, success, retry_count, sms_metadata)
       select 96, '+12065550100', 'outbound', 0, 'failed', false, 1, jsonb_build_object('attempts', jsonb_build_array(
                jsonb_build_object('number', 0, 'status', 'failed', 'error_code', 96, 'times', jsonb_build_object('failed', pause ->> 0)),
                jsonb_build_object('number', 1, 'status', 'failed', 'error_code', 97, 'times', jsonb_build_object('submitting', pause ->> 1))))
         from unnest($1::jsonb[]) as pause returning id`,
      [pauses.map((pause) => JSON.stringify(pause))],
    )
    const { codes } = await countFailures(database, DAY)
    await own.query('delete from sms_usage_logs where id >= $1', [row?.id])
    return codes.find(({ code }) => code === 96)?.retries.map(({ delaySeconds }) => delaySeconds)
  }
  const good = '2026-03-01T10:00:00.000Z'
  expect(
    await delaysOf([
      [good, '2026-03-01T10:01:00.500Z'],
      ['2026-03-01T09:59:59Z', '2026-03-01T10:00:00.123456Z'],
      ['2026-12-31T23:59:59.9Z', '2027-01-01T00:00:00.9Z'],
    ]),
  ).toEqual([expect.closeTo((60.5 + 1.123456 + 1) / 3, 5)])
  for (const none of [
    'soon',
    '0000-03-01T10:00:00.000Z',
    '2026-3-1T1:0:0.0Z',
    '2026-13-01T10:00:00Z',
    '2026-03-01T24:00:00Z',
    '2026-03-01T10:60:00Z',
    '2026-03-01T10:00:60Z',
    '2026-03-01T10:00:00',
    '2026-03-01T10:00:00.1234567Z',
    '2026-03-01T10:00:00.000Z or later',
    '2026-03-01T10:00:00.000+01:00',
    '٢026-03-01T10:00:00.000Z',
  ]) {
    expect(await delaysOf([[none, good]])).toEqual([null])
    expect(await delaysOf([[good, none]])).toEqual([null])
    expect(
      await delaysOf([
        [good, none],
        [none, good],
        [good, '2026-03-01T10:00:07.000Z'],
      ]),
    ).toEqual([7])
  }
})

test('messages with future and infinite times count as of now', async () => {
  const span = { seconds: DAY, bucketSeconds: 3600 }
  const before = await countMessagesByTime(database, span)
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, created_at)
     select 98, '+12065550100', 'outbound', 0, 'failed', at::timestamp
       from unnest('{infinity,2038-01-20,9999-12-31}'::text[]) as at`,
  )
  const { whole, buckets } = await countMessagesByTime(database, span)
  expect(whole.messages).toBe(before.whole.messages + 3)
  expect(buckets.reduce((sum, { messages }) => sum + messages, 0)).toBe(whole.messages)
  await own.query('delete from sms_usage_logs where user_id = 98')
})

test('there are no failures to count if all messages are canceled', async () => {
  const other = await createTestDatabase()
  const db = open(other)
  await other.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, twilio_message_sid)
     select 1, '+12065550100', 'outbound', 0, 'failed', 'SM' || n from generate_series(1, ${MAX_READ_FAILURES}) n`,
  )
  expect(await countFailures(db, DAY)).toEqual({ codes: [], isComplete: false })
  await db.close()
  await other.drop()
})

test("an invalid time of a claim counts as the message's own time", async () => {
  const before = await readBacklog(database)
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, created_at, sms_metadata)
     select 97, '+12065550100', 'outbound', 0, 'submitting', now() at time zone 'UTC' - interval '1 min',
            jsonb_build_object('attempts', jsonb_build_array(jsonb_build_object('times', jsonb_build_object('submitting', at))))
       from unnest('{"",soon,2026-99-01T00:00:00Z}'::text[]) as at`,
  )
  const { inDoubt, oldestInDoubtAt } = await readBacklog(database)
  expect(inDoubt).toBe(before.inDoubt + 3)
  expect(oldestInDoubtAt?.getTime()).toBeLessThanOrEqual(before.oldestInDoubtAt?.getTime() ?? 0)
  await own.query('delete from sms_usage_logs where user_id = 97')
})

test('the backlog has what is due, deferred and in doubt, with the oldest times', async () => {
  const backlog = await readBacklog(database)
  const claimed = `(sms_metadata #>> '{attempts,0,times,submitting}')::timestamptz`
  const inDoubt = `final_status = 'submitting' and ${claimed} < '${backlog.now.toISOString()}'::timestamptz - interval '30 s'`
  const isDue = `final_status = 'retrying' and next_retry_at <= '${backlog.now.toISOString()}'`
  expect(backlog).toMatchObject({
    byStatus: {
      retrying: await truth(`count(*) filter (where final_status = 'retrying')`),
      submitting: await truth(`count(*) filter (where final_status = 'submitting')`),
    },
    due: await truth(`count(*) filter (where ${isDue})`),
    deferred: await truth(`count(*) filter (where final_status = 'retrying' and not (${isDue}))`),
    inDoubt: await truth(`count(*) filter (where ${inDoubt})`),
  })
  expect(backlog.oldestDueAt?.getTime()).toBe(
    await truth(`floor(extract(epoch from min(next_retry_at)) * 1000)`),
  )
  expect(backlog.oldestInDoubtAt?.getTime()).toBe(
    await truth(
      `floor(extract(epoch from min(${claimed}) filter (where final_status = 'submitting')) * 1000)`,
    ),
  )
})

const ALL = toSearch({}, new Date())

async function searchAll(search: Search, pageSize: number): Promise<number[]> {
  const ids: number[] = []
  let next: Cursor | null = null
  do {
    const page = await searchMessages(database, search, next, { limit: pageSize })
    ids.push(...page.messages.map(({ id }) => id))
    next = page.next
  } while (next !== null)
  return ids
}

describe('a search', () => {
  test.each<[string, Partial<Search>, string]>([
    ['all messages of a day', { since: new Date(Date.now() - DAY * 1000) }, ''],
    ['a status', { statuses: ['submitting'] }, `and final_status = 'submitting'`],
    [
      'one of several statuses',
      { statuses: ['canceled', 'undelivered'] },
      `and final_status in ('canceled', 'undelivered')`,
    ],
    ['the last digits', { number: { digits: '1237', part: 'end' } }, `and phone_number like '%1237'`],
    ['a user and a code', { userId: '3', code: 30003 }, `and user_id = 3 and id % 20 in (1, 3)`],
    ['a code of a later attempt', { code: 30006 }, `and id % 20 = 2`],
    ['a time', { until: new Date(Date.now() - 39 * DAY * 1000) }, ''],
    ['a code that no message has', { code: 11111 }, 'and false'],
    ['metadata', { metadata: [{ key: 'order', value: '7' }] }, 'and id % 400 = 7'],
    [
      'metadata, a status and a code',
      { metadata: [{ key: 'shop.city', value: 'c2' }], statuses: ['undelivered'], code: 30006 },
      'and id % 9 = 2 and id % 20 = 2',
    ],
    [
      'two conditions on metadata',
      {
        metadata: [
          { key: 'order', value: '7' },
          { key: 'shop.city', value: 'c7' },
        ],
      },
      'and id % 400 = 7 and id % 9 = 7',
    ],
    ['metadata that no message has', { metadata: [{ key: 'order', value: '400' }] }, 'and false'],
  ])('for %s finds the same as simple SQL, page by page', async (_what, fields, condition) => {
    const search = { ...ALL, ...fields }
    const found = await searchAll(search, 97)
    const rows = await own.query<{ id: number }>(
      `select id from sms_usage_logs
        where message_direction <> 'inbound' ${condition}
          and created_at >= coalesce($1::timestamptz at time zone 'UTC', '-infinity')
          and created_at < coalesce($2::timestamptz at time zone 'UTC', 'infinity')
        order by created_at desc, id desc`,
      [search.since, search.until],
    )
    expect(found).toEqual(rows.map(({ id }) => id))
    if (condition !== 'and false') expect(found.length).toBeGreaterThan(2)
  })

  test('that begins with the oldest finds the same in the other order, up to an id', async () => {
    const search = { ...ALL, metadata: [{ key: 'order', value: '7' }] }
    const ids: number[] = []
    let next: Cursor | null = null
    do {
      const page = await searchMessages(database, search, next, { limit: 9, first: 'oldest', upToId: 35_000 })
      ids.push(...page.messages.map(({ id }) => id))
      next = page.next
    } while (next !== null)
    const newestFirst = await searchAll(search, 97)
    expect(ids).toEqual(newestFirst.toReversed().filter((id) => id <= 35_000))
    expect(ids.length).toBeGreaterThan(50)
    expect(ids.length).toBeLessThan(newestFirst.length)
  })

  test.each<[string, string, string, boolean]>([
    ['a text', '{"order": "1001"}', 'order=1001', true],
    ['a number', '{"order": 1001}', 'order=1001', true],
    ['true', '{"paid": true}', 'paid=true', true],
    ['null', '{"paid": null}', 'paid=null', true],
    ['a nested key', '{"order": {"id": 5}}', 'order.id=5', true],
    ['a key with a dot', '{"order.id": 5}', 'order.id=5', true],
    ['an entry of a list', '{"items": ["a", "b"]}', 'items.1=b', true],
    ['an empty text', '{"note": ""}', 'note=', true],
    ['a value with an equals sign', '{"note": "a=b"}', 'note=a=b', true],
    ['another value', '{"order": 10010}', 'order=1001', false],
    ['another case', '{"name": "Ann"}', 'name=ann', false],
    ['a missing key', '{"paid": false}', 'order=null', false],
    ['a list instead of an object', '["order"]', 'order=1001', false],
    ['a text instead of an object', '"order"', 'order=1001', false],
  ])('for metadata compares the JSON text: %s', async (_what, json, condition, isFound) => {
    const read = readMetadata(condition)
    if ('fault' in read) throw new Error(read.fault)
    const [row] = await own.query<{ id: number }>(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, sms_metadata)
       values (95, '+12065550100', 'outbound', 0, 'failed', $1) returning id`,
      [json],
    )
    const found = await searchAll({ ...ALL, userId: '95', metadata: [read.value] }, 10)
    await own.query('delete from sms_usage_logs where user_id = 95')
    expect(found).toEqual(isFound ? [row?.id] : [])
  })

  test('for many messages with the same time loses none between pages', async () => {
    await own.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, created_at)
       select 99, '+12065550100', 'outbound', 0, 'failed', '2020-01-01' from generate_series(1, 50)`,
    )
    const ids = await searchAll({ ...ALL, userId: '99' }, 7)
    expect(new Set(ids).size).toBe(50)
    await own.query('delete from sms_usage_logs where user_id = 99')
  })
})

describe('the query for', () => {
  /** The nodes of the plan that read the table, with their index. */
  async function scansOf(run: (db: Db) => Promise<unknown>): Promise<string[]> {
    const scans: string[] = []
    const visit = (node: Record<string, unknown>): void => {
      const type = String(node['Node Type'])
      if (
        type.includes('Scan') &&
        /sms_usage_logs/.test(JSON.stringify([node['Relation Name'], node['Index Name']]))
      )
        scans.push(
          `${type} ${String(node['Index Name'] ?? node['Relation Name']).replace('idx_sms_usage_logs_', '')}`,
        )
      for (const inner of (node['Plans'] ?? []) as Record<string, unknown>[]) visit(inner)
    }
    const explaining = {
      async executeSql(text: string, values: unknown[] = []) {
        if (!text.includes('sms_usage_logs')) return { rows: [{ now: new Date() }] }
        const [plan] = await own.query<{ 'QUERY PLAN': [{ Plan: Record<string, unknown> }] }>(
          `explain (format json) ${text}`,
          values,
        )
        visit(plan?.['QUERY PLAN'][0].Plan ?? {})
        return { rows: [] }
      },
    } as Db
    await run(explaining)
    return scans.toSorted()
  }

  const DAY_SPAN = { seconds: DAY, bucketSeconds: 3600 }

  test.each<[string, (db: Db) => Promise<unknown>, string[]]>([
    ['the overview', (db) => countMessagesByTime(db, DAY_SPAN), Array(25).fill('Index Only Scan time')],
    [
      '30 days of it',
      (db) => countMessagesByTime(db, { seconds: 30 * DAY, bucketSeconds: DAY }),
      Array(31).fill('Index Only Scan time'),
    ],
    [
      'a search',
      (db) => searchMessages(db, { ...ALL, number: { digits: '1237', part: 'end' } }, null, { limit: 50 }),
      ['Index Only Scan time', 'Index Scan sms_usage_logs_pkey'],
    ],
    [
      'a search for a user',
      (db) => searchMessages(db, { ...ALL, userId: '3' }, null, { limit: 50 }),
      ['Index Only Scan time', 'Index Scan sms_usage_logs_pkey'],
    ],
    [
      'a page of a bulk action',
      (db) =>
        searchMessages(db, { ...ALL, statuses: ['retrying'] }, null, {
          ...{ limit: 100, first: 'oldest', upToId: 30_000 },
        }),
      ['Index Only Scan time', 'Index Scan sms_usage_logs_pkey'],
    ],
  ])('%s does not read the whole table', async (_what, run, expected) => {
    expect(await scansOf(run)).toEqual(expected)
  })

  test.each<[string, (db: Db) => Promise<unknown>]>([
    ['failures of a day', (db) => countFailures(db, DAY)],
    ['the figures of all error codes', (db) => readCodeFigures(db, DAY)],
    ['the attempts that failed with a code', (db) => readFailedAttempts(db, 30003, DAY)],
    ['what is lost in a day', (db) => countLost(db, DAY_SPAN)],
    ['what was lost in the day before', (db) => countLost(db, DAY_SPAN, 'before')],
    ['the backlog', (db) => readBacklog(db)],
    ['what is in doubt', (db) => countInDoubt(db, DAY)],
    [
      'a search for metadata',
      (db) => searchMessages(db, { ...ALL, metadata: [{ key: 'order', value: '7' }] }, null, { limit: 50 }),
    ],
    ['a search for a code', (db) => searchMessages(db, { ...ALL, code: 30003 }, null, { limit: 50 })],
  ])('%s does not read the whole table', async (_what, run) => {
    const scans = await scansOf(run)
    expect(scans.length).toBeGreaterThan(0)
    expect(scans.filter((scan) => scan.startsWith('Seq Scan'))).toEqual([])
  })
})
