// Tests which messages are overdue, and which ones an entry of Twilio's list may belong to. overdue-cost.test.ts tests the
// cost of finding them.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { iso } from '../../src/db/times.ts'
import { areTooMany, findOthers, findOverdue } from '../../src/db/overdue.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { DELIVERY_STATUSES, isFinal } from '../../src/delivery/status.ts'
import { newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'

const PAST = '2026-01-01T00:00:00.000Z'
const FUTURE = '9000-01-01T00:00:00.000Z'
const NUMBER = '+12065550100'
const SID = newSid()

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

const empty = () => own.query('truncate sms_usage_logs restart identity')

interface Given {
  readonly status?: string | null
  readonly direction?: string
  readonly to?: string
  readonly sid?: string | null
  readonly retryCount?: number | null
  /** A string is JSON. */
  readonly metadata?: object | string | null
}

async function insertRow(given: Given): Promise<number> {
  const { status = 'sent', direction = 'outbound', to = NUMBER, sid = null, retryCount = 0, metadata } = given
  const [row] = await own.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, twilio_message_sid, retry_count, sms_metadata)
     values (1, $1, $2, 5, 'Hello', $3, $4, $5, $6::jsonb) returning id`,
    [
      to,
      direction,
      status,
      sid,
      retryCount,
      typeof metadata === 'object' ? JSON.stringify(metadata) : metadata,
    ],
  )
  return row?.id ?? 0
}

describe('findOverdue', () => {
  beforeEach(empty)

  const overdueIds = async (limit = 100): Promise<number[]> =>
    (await findOverdue(database, limit)).map(({ message }) => message.id)

  test.each(
    DELIVERY_STATUSES,
  )('finds a message that is %s only if that is neither final nor unknown', async (status) => {
    const due = [
      await insertRow({ status, metadata: { reconcile_at: PAST } }),
      await insertRow({ status, metadata: { reconcile_at: PAST }, sid: newSid() }),
      await insertRow({ status, metadata: {}, sid: newSid() }),
    ]
    await insertRow({ status, metadata: { reconcile_at: FUTURE }, sid: newSid() })
    await insertRow({ status, metadata: { reconcile_at: PAST }, sid: newSid(), direction: 'inbound' })
    const isLookedAt = !isFinal(status) && status !== 'unknown'
    expect((await overdueIds()).toSorted()).toEqual(isLookedAt ? due : [])
  })

  test('leaves out rows without a status and rows with a status of the app', async () => {
    await insertRow({ status: null, metadata: { reconcile_at: PAST }, sid: newSid() })
    await insertRow({ status: 'partially_sent', metadata: { reconcile_at: PAST }, sid: newSid() })
    expect(await overdueIds()).toEqual([])
  })

  test('returns the longest overdue first, after those that were never checked', async () => {
    const seconds = [30, 10, 20]
    const [third, first, second] = await Promise.all(
      seconds.map((second) => insertRow({ metadata: { reconcile_at: `2026-01-01T00:00:${second}.000Z` } })),
    )
    const without = await insertRow({ metadata: { campaign: 'may' } })
    expect(await overdueIds()).toEqual([without, first, second, third])
    expect(await overdueIds(2)).toEqual([without, first])
  })

  test.each([
    ['set aside', { status: 'pending', metadata: { reconcile_at: '9999-12-31T00:00:00.000Z' } }],
    ['never checked again', { status: 'sent', sid: newSid(), metadata: { reconcile_at: 'infinity' } }],
  ])('leaves out a message that is %s', async (_what, row) => {
    await insertRow(row)
    expect(await overdueIds()).toEqual([])
  })

  test('finds a message from the exact millisecond on, by the clock of the database', async () => {
    await insertRow({ metadata: {} })
    const set = `update sms_usage_logs
                    set sms_metadata = jsonb_build_object('reconcile_at', ${iso('now() + $1::interval')})`
    const at = (later: string) =>
      database.transaction(async (tx) => {
        await tx.executeSql(set, [later])
        return findOverdue(tx, 1)
      })
    expect(await at('1 ms')).toEqual([])
    const [found] = await at('0 ms')
    expect(found?.now).toEqual(found?.message.reconcileAt)
  })

  test.each([
    null,
    'null',
    '[]',
    '["reconcile_at"]',
    '[{"reconcile_at": "9000-01-01T00:00:00.000Z"}]',
    '"reconcile_at"',
    '12.5',
    'false',
    '{"reconcile_at": null}',
  ])('finds a message with the metadata %s, as never checked', async (metadata) => {
    const id = await insertRow({ metadata })
    expect(await findOverdue(database, 1)).toMatchObject([
      { message: { id, reconcileAt: null, attempts: [] } },
    ])
  })
})

describe('findOthers', () => {
  const SINCE = '2026-03-01T12:00:00.000Z'
  const AFTER = '2026-03-01T12:00:00.001Z'
  const BEFORE = '2026-03-01T11:59:59.999Z'

  const attempts = (times: object, sid?: string): object => ({ attempts: [{ number: 0, times, sid }] })
  const withSid = attempts({}, SID)
  const claimed = attempts({ submitting: AFTER })
  const earlier = attempts({ submitting: BEFORE })

  let self = 0
  beforeEach(async () => {
    await empty()
    self = await insertRow({ status: 'submitting', metadata: attempts({ submitting: AFTER }, SID) })
  })

  const others = (sids: string[]) =>
    findOthers(database, { messageId: self, to: NUMBER, since: new Date(SINCE), sids })
  const othersIds = async (sids: string[]): Promise<number[]> => (await others(sids)).map(({ id }) => id)

  test.each<[what: string, given: Given]>([
    ['has the sid', { sid: SID }],
    ['has the sid, and was delivered at the first attempt', { sid: SID, status: 'delivered' }],
    ['has the sid, and no status', { sid: SID, status: null }],
    ['has the sid, and another number', { sid: SID, to: '+12065550199' }],
    ['has the sid, and other metadata', { sid: SID, metadata: '["text"]' }],
    ['had the sid before its retry', { sid: newSid(), retryCount: 1, metadata: withSid }],
    ['had the sid before its retry was delivered', { status: 'delivered', retryCount: 2, metadata: withSid }],
    ['has the sid in its attempt only', { status: 'failed', metadata: withSid }],
    ['was claimed since then', { status: 'submitting', metadata: claimed }],
    ['was claimed exactly then', { status: 'submitting', metadata: attempts({ submitting: SINCE }) }],
    ['was refused since then', { status: 'failed', metadata: claimed }],
    ['was refused since then, and waits', { status: 'retrying', retryCount: 1, metadata: claimed }],
    ['was refused since then, and canceled before its retry', { status: 'canceled', metadata: claimed }],
    ['was refused since then, and has no time for a retry', { status: 'expired', metadata: claimed }],
  ])('finds a message that %s', async (_what, given) => {
    const id = await insertRow(given)
    expect(await othersIds([newSid(), SID])).toEqual([id])
  })

  test('finds a message with several attempts if one was claimed since then', async () => {
    const times = [BEFORE, AFTER].map((submitting) => ({ times: { submitting } }))
    const id = await insertRow({ status: 'retrying', retryCount: 2, metadata: { attempts: times } })
    expect(await othersIds([])).toEqual([id])
  })

  test.each<[what: string, given: Given]>([
    ['another sid', { sid: newSid() }],
    ['been claimed before then', { status: 'submitting', metadata: earlier }],
    ['never been claimed', { status: 'retrying', retryCount: 1, metadata: attempts({ pending: AFTER }) }],
    ['another number', { status: 'submitting', to: '+12065550199', metadata: claimed }],
    ['been delivered at the first attempt', { status: 'delivered', sid: newSid(), metadata: claimed }],
    ['been received', { direction: 'inbound', sid: SID, retryCount: 1, metadata: claimed }],
    ['a status that is not ours', { status: 'unknown', retryCount: 1, metadata: claimed }],
    ['invalid times', { status: 'failed', metadata: attempts({ submitting: 9e9 }) }],
    ['invalid attempts', { status: 'failed', metadata: { attempts: [{}, 'x', null] } }],
    ['an array as metadata', { status: 'failed', metadata: '[{"attempts": []}]' }],
    ['a string as metadata', { status: 'failed', metadata: '"attempts"' }],
    ['no metadata', { status: 'submitting', metadata: null }],
  ])('leaves out a message that has %s', async (_what, given) => {
    await insertRow(given)
    expect(await othersIds([SID])).toEqual([])
  })

  test.each([
    [1000, false],
    [1001, true],
    [1002, true],
  ])('%i others are too many: %s', async (count, expected) => {
    await own.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status,
                                   sms_metadata)
       select 1, $1, 'outbound', 0, 'submitting', $2::jsonb from generate_series(1, $3::int)`,
      [NUMBER, JSON.stringify(claimed), count],
    )
    expect(areTooMany(await others([]))).toBe(expected)
  })
})
