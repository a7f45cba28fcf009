// Tests which messages are pruned, which of their data is deleted, and the cost of finding them. messages/prune.test.ts tests
// batches, stops and concurrency.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Database } from '../../src/postgres/pool.ts'
import { type PruneAct, type PrunedWindow, pruneWindow } from '../../src/db/prunable-messages.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'
import { planOf, rowsReadBy } from './plan.ts'

const DAY_MS = 86_400_000
const daysAgo = (days: number): Date => new Date(Date.now() - days * DAY_MS)

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

/** Prunes the first window of messages older than 90 days. */
const pruneFirst = (act: PruneAct, limit = 1000): Promise<PrunedWindow> =>
  pruneWindow(database, act, { createdBefore: daysAgo(90), after: null, limit })

interface Row {
  readonly message_direction?: string
  readonly message_content?: string | null
  readonly final_status?: string | null
  readonly twilio_message_sid?: string | null
  readonly sms_metadata?: unknown
  readonly created_at?: string | null
}

/** A row that was delivered a hundred days ago, with changes. */
async function insert(changes: Row = {}): Promise<number> {
  const row = {
    message_direction: 'outbound',
    message_content: 'Hello',
    final_status: 'delivered',
    twilio_message_sid: null,
    sms_metadata: { attempts: [{ number: 0, status: 'delivered', times: { delivered: OLD } }] },
    created_at: OLD,
    ...changes,
  }
  const [inserted] = await own.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, twilio_message_sid, sms_metadata, created_at)
     select 1, '+12065550100', r.message_direction, 5, r.message_content, r.final_status, r.twilio_message_sid,
            r.sms_metadata, r.created_at
       from jsonb_populate_record(null::sms_usage_logs, $1::jsonb) as r
     returning id`,
    [JSON.stringify(row)],
  )
  if (inserted === undefined) throw new Error('not inserted')
  return inserted.id
}

const OLD = daysAgo(100).toISOString()
const YOUNG = daysAgo(80).toISOString()
const NEVER = { reconcile_at: 'infinity' }
/** Set aside; older versions wrote it for messages that are never checked again as well. */
const SET_ASIDE = { reconcile_at: '9999-12-31T00:00:00.000Z' }
const CHECKED_LATER = { reconcile_at: YOUNG }

const GOES: readonly [what: string, row: Row][] = [
  ...['delivered', 'read', 'undelivered', 'failed', 'canceled', 'expired'].map(
    (final_status): [string, Row] => [final_status, { final_status }],
  ),
  ...['submitting', 'accepted', 'scheduled', 'queued', 'sending', 'sent'].flatMap(
    (final_status): [string, Row][] => [
      [`${final_status}, never checked again`, { final_status, sms_metadata: NEVER }],
      [
        `${final_status}, never checked again, by an older version`,
        { final_status, sms_metadata: SET_ASIDE },
      ],
    ],
  ),
  ['a row of the app with a sid, once it is final', { twilio_message_sid: 'SM1', sms_metadata: null }],
  ['metadata that is not an object', { sms_metadata: ['a', 1] }],
  ['invalid times', { sms_metadata: { attempts: [{ times: { delivered: 5, sent: null } }, 'x'] } }],
]

const STAYS: readonly [what: string, row: Row][] = [
  ['a younger message', { created_at: YOUNG }],
  ['a message without a time', { created_at: null }],
  ...['pending', 'retrying', 'submitting', 'accepted', 'scheduled', 'queued', 'sending', 'sent'].map(
    (final_status): [string, Row] => [final_status, { final_status, sms_metadata: CHECKED_LATER }],
  ),
  ['sent, not checked yet', { final_status: 'sent', sms_metadata: null }],
  ['retrying, set aside', { final_status: 'retrying', sms_metadata: SET_ASIDE }],
  ['pending, set aside', { final_status: 'pending', sms_metadata: SET_ASIDE }],
  ['inbound', { message_direction: 'inbound' }],
  ['inbound with a sid', { message_direction: 'inbound', twilio_message_sid: 'SM2' }],
  ['unknown without a sid', { final_status: 'unknown' }],
  ['no status, no sid', { final_status: null }],
  ['unknown with a sid', { final_status: 'unknown', twilio_message_sid: 'SM3' }],
  ["a word of the app's own", { final_status: 'success' }],
]

describe.each<[act: PruneAct, isGone: string]>([
  ['rows', 'not exists (select from sms_usage_logs where id = $1)'],
  ['content', 'exists (select from sms_usage_logs where id = $1 and message_content is null)'],
])('pruning %s', (act, isGone) => {
  test.each(GOES)('includes: %s', async (_what, row) => {
    const id = await insert(row)
    expect((await pruneFirst(`count ${act as 'rows' | 'content'}`)).pruned).toBe(1)
    expect((await pruneFirst(act)).pruned).toBe(1)
    expect(await own.query(`select ${isGone} as "isGone"`, [id])).toEqual([{ isGone: true }])
    await own.query('truncate sms_usage_logs')
  })

  test.each(STAYS)('stays as it is: %s', async (_what, row) => {
    const id = await insert(row)
    const read = () => own.query('select * from sms_usage_logs where id = $1', [id])
    const before = await read()
    expect((await pruneFirst(act)).pruned).toBe(0)
    expect(await read()).toEqual(before)
    await own.query('truncate sms_usage_logs')
  })
})

describe('pruning content', () => {
  const FAILED = { number: 0, status: 'failed', sid: 'SM4', error_code: 21211, times: { failed: OLD } }

  async function stripped(sms_metadata: unknown): Promise<unknown> {
    const id = await insert({ final_status: 'failed', sms_metadata })
    await pruneFirst('content')
    const [row] = await own.query('select * from sms_usage_logs where id = $1', [id])
    expect(row).toMatchObject({ phone_number: '+12065550100', message_length: 5, message_content: null })
    // A second run finds nothing.
    expect((await pruneFirst('content')).pruned).toBe(0)
    await own.query('truncate sms_usage_logs')
    return row?.['sms_metadata']
  }

  test("deletes Twilio's error texts, and keeps codes, numbers, the key and the app's values", async () => {
    const kept = {
      campaign: 'may',
      error_text: 'mine',
      n: 1.5,
      retry_reason: 21211,
      idempotency_key: 'order-1',
    }
    expect(
      await stripped({
        ...kept,
        retry_error: "The 'To' number +12065550100 is not valid",
        attempts: [
          { ...FAILED, error_text: '+12065550100' },
          { ...FAILED, number: 1 },
        ],
      }),
    ).toEqual({ ...kept, attempts: [FAILED, { ...FAILED, number: 1 }] })
  })

  test.each([
    ['nothing', null],
    ['an array', [{ attempts: [{ error_text: 'mine' }], retry_error: 'mine' }]],
    ['a text', 'text'],
    ['another value under our key', { attempts: { error_text: 'mine' } }],
    ['no attempts', { attempts: [] }],
  ])('keeps %s of the app in the metadata', async (_what, metadata) => {
    expect(await stripped(metadata)).toEqual(metadata)
  })

  test('keeps numbers that JavaScript cannot represent', async () => {
    const id = await insert()
    await own.query(
      `update sms_usage_logs set sms_metadata = '{"n": 12345678901234567890.10, "retry_error": "x"}' where id = $1`,
      [id],
    )
    await pruneFirst('content')
    expect(
      await own.query('select sms_metadata::text as "m" from sms_usage_logs where id = $1', [id]),
    ).toEqual([{ m: '{"n": 12345678901234567890.10}' }])
    await own.query('truncate sms_usage_logs')
  })
})

describe('on a large table', () => {
  const ROWS = 100_000

  beforeAll(async () => {
    await own.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                   final_status, sms_metadata, created_at)
       select 1, '+1206' || n, 'outbound', 5, 'Hello', case when n % 100 = 0 then 'sent' else 'delivered' end,
              jsonb_build_object('attempts', jsonb_build_array(jsonb_build_object('times', jsonb_build_object('sent', $1::text)))),
              now() at time zone 'UTC' - interval '200 days' + n * interval '1 min'
         from generate_series(1, ${ROWS}) n`,
      [OLD],
    )
    await own.query('vacuum analyze sms_usage_logs')
  })

  test.each<PruneAct>([
    'count rows',
    'count content',
    'content',
    'rows',
  ])('%s reads one window by the index over the times, and its rows by id', async (act) => {
    const { scans } = await planOf(own, (db) =>
      pruneWindow(db, act, {
        createdBefore: daysAgo(90),
        after: { createdAt: daysAgo(150).toISOString(), id: 1 },
        limit: 1000,
      }),
    )
    const onTable = scans.filter((node) => !['CTE Scan', 'Function Scan'].includes(node['Node Type']))
    const indexes = new Set(onTable.map((node) => node['Index Name']))
    expect(indexes).toEqual(new Set(['idx_sms_usage_logs_time', 'sms_usage_logs_pkey']))
    expect(Math.max(...onTable.map(rowsReadBy))).toBe(1000)
  })
})
