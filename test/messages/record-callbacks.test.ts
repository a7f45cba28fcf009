// Tests the effect of callbacks on rows and jobs, through the real endpoint: repeated, concurrent, in any order, late, or for
// rows that the app wrote. No worker runs, so scheduled jobs stay visible.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import * as endpoint from '../http/endpoint.ts'
import { callbackFields, newSid, postSigned } from '../support/callbacks.ts'
import { DEFAULT_POOL, startWorld, type World } from '../support/world.ts'

let world: World

beforeAll(async () => {
  world = await startWorld({ env: DEFAULT_POOL })
})

afterAll(() => world.stop())

afterEach(() => {
  expect(world.log.filter(({ level }) => level === 'error')).toEqual([])
  expect(endpoint.personalLines(world.log)).toEqual([])
})

interface Report {
  readonly sid: string
  readonly status: string
  readonly code?: string
  /** Null for a URL without our query. */
  readonly message?: number | null
  readonly attempt?: number
}

async function report({ sid, status, code, message = null, attempt = 0 }: Report): Promise<number> {
  const { accountSid, authToken } = world.simulator
  const fields = callbackFields(accountSid, sid, status, code === undefined ? {} : { ErrorCode: code })
  const path = message === null ? '/twilio/status' : endpoint.statusPath(message, attempt)
  const response = await postSigned(authToken, world.web.url + path, fields)
  await response.arrayBuffer()
  return response.status
}

async function read(id: number): Promise<Record<string, unknown> | undefined> {
  const [row] = await world.database.query('select * from sms_usage_logs where id = $1', [id])
  return row
}

async function jobsOf(id: number): Promise<number[]> {
  const all = await endpoint.jobs(world.database)
  return all.flatMap(({ data }) => (data.message === id ? [data.attempt] : []))
}

const FAILED = { status: 'undelivered', code: '30003' }

describe('the same callback several times at once', () => {
  test.each([2, 10, 50])('(%i times) leads to one decision and one job', async (times) => {
    const { id, sid } = await endpoint.insertSentRow(world.database)
    const answers = await Promise.all(
      Array.from({ length: times }, () => report({ ...FAILED, sid, message: id })),
    )
    expect(answers).toEqual(Array(times).fill(204))
    expect(await read(id)).toMatchObject({ final_status: 'retrying', retry_count: 1, success: false })
    expect((await read(id))?.['sms_metadata']).toMatchObject({
      retry_reason: 30003,
      retry_strategy: 'exponential_backoff',
      attempts: [
        { number: 0, status: 'undelivered' },
        { number: 1, status: 'pending' },
      ],
    })
    expect(await jobsOf(id)).toEqual([1])
    const decisions = world.log.filter(({ level, fields }) => level === 'info' && fields['messageId'] === id)
    expect(decisions).toHaveLength(1)
  })

  test('by message and by sid leads to one decision and one job', async () => {
    const { id, sid } = await endpoint.insertSentRow(world.database)
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => report({ ...FAILED, sid, message: i % 2 === 0 ? id : null })),
    )
    expect(await read(id)).toMatchObject({ final_status: 'retrying', retry_count: 1 })
    expect(await jobsOf(id)).toEqual([1])
  })

  test('as undelivered and as delivered makes the message delivered, without a job', async () => {
    const { id, sid } = await endpoint.insertSentRow(world.database)
    const statuses = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? FAILED : { status: 'delivered' }))
    await Promise.all(statuses.map((one) => report({ ...one, sid, message: id })))
    expect(await read(id)).toMatchObject(DELIVERED)
    expect(await jobsOf(id)).toEqual([])
  })
})

const DELIVERED = {
  final_status: 'delivered',
  success: true,
  retry_count: 0,
  next_retry_at: null,
  error_message: null,
}

describe('the order of callbacks does not matter', () => {
  test('for a message that is delivered in the end', async () => {
    for (const order of permutations(['queued', 'sent', 'undelivered', 'delivered'])) {
      const { id, sid } = await endpoint.insertSentRow(world.database)
      for (const status of order) await report({ ...codeFor(status), sid, message: id })
      expect({ order, row: await read(id) }).toEqual({ order, row: expect.objectContaining(DELIVERED) })
      expect({ order, jobs: await jobsOf(id) }).toEqual({ order, jobs: [] })
    }
  })

  test('for a message that failed, which is retried once', async () => {
    const failed = {
      final_status: 'retrying',
      success: false,
      retry_count: 1,
      next_retry_at: expect.any(Date),
    }
    for (const order of permutations(['queued', 'sending', 'sent', 'undelivered'])) {
      const { id, sid } = await endpoint.insertSentRow(world.database)
      for (const status of order) await report({ ...codeFor(status), sid, message: id })
      expect({ order, row: await read(id) }).toEqual({ order, row: expect.objectContaining(failed) })
      expect({ order, jobs: await jobsOf(id) }).toEqual({ order, jobs: [1] })
    }
  })
})

describe('a message that the app sent is followed by its sid:', () => {
  test.each(['queued', 'sending', 'sent', 'delivered', 'canceled'])('%s is recorded', async (status) => {
    const { id, sid } = await endpoint.insertSentRow(world.database)
    expect(await report({ sid, status })).toBe(204)
    expect(await read(id)).toMatchObject({ final_status: status, success: true, twilio_message_sid: sid })
    expect(await jobsOf(id)).toEqual([])
  })

  test('a failure that can be retried is retried, and the other values of the row are kept', async () => {
    const { id, sid } = await endpoint.insertSentRow(world.database)
    await world.database.query(`update sms_usage_logs set sms_metadata = '{"campaign": [1]}' where id = $1`, [
      id,
    ])
    expect(await report({ ...FAILED, sid })).toBe(204)
    expect(await read(id)).toMatchObject({
      final_status: 'retrying',
      retry_count: 1,
      message_content: endpoint.BODY,
      sms_metadata: { campaign: [1], retry_reason: 30003 },
    })
    expect(await jobsOf(id)).toEqual([1])
  })

  test('a failure that must not be retried is not retried, with a reason', async () => {
    const { id, sid } = await endpoint.insertSentRow(world.database)
    await report({ sid, status: 'undelivered', code: '30007' })
    expect(await read(id)).toMatchObject({
      final_status: 'undelivered',
      success: false,
      retry_count: 0,
      next_retry_at: null,
      error_message: expect.stringContaining('30007'),
    })
    expect(await jobsOf(id)).toEqual([])
  })

  test('without a text it is not retried, with a reason', async () => {
    const { id, sid } = await endpoint.insertSentRow(world.database)
    await world.database.query('update sms_usage_logs set message_content = null where id = $1', [id])
    await report({ ...FAILED, sid })
    expect(await read(id)).toMatchObject({
      final_status: 'undelivered',
      error_message: expect.stringContaining('message_content'),
    })
    expect(await jobsOf(id)).toEqual([])
  })
})

describe("the app's own rows are never changed:", () => {
  test.each([
    ['an inbound row', { direction: 'inbound' }],
    ['a row of unknown status without a sid', { sid: null }],
  ])('%s, by message or by sid', async (_what, options) => {
    const { id, sid } = await endpoint.insertSentRow(world.database, options)
    const before = await endpoint.fingerprint(world.database)
    for (const status of ['queued', 'sent', 'delivered', 'read', 'undelivered', 'failed', 'canceled']) {
      expect(await report({ ...codeFor(status), sid })).toBe(204)
      expect(await report({ ...codeFor(status), sid, message: id })).toBe(204)
    }
    expect(await endpoint.fingerprint(world.database)).toEqual(before)
  })
})

describe('a callback that does not belong to the attempt changes nothing:', () => {
  test.each([
    ['another sid', { sid: newSid(), attempt: 0 }],
    ['an attempt that was never made', { attempt: 3 }],
  ])('%s', async (_what, other) => {
    const { id, sid } = await endpoint.insertSentRow(world.database)
    const before = await endpoint.fingerprint(world.database)
    expect(await report({ ...FAILED, sid, message: id, ...other })).toBe(204)
    expect(await endpoint.fingerprint(world.database)).toEqual(before)
  })
})

test('if the job cannot be written, the row is not changed either, and Twilio gets 503', async () => {
  const { id, sid } = await endpoint.insertSentRow(world.database)
  const before = await endpoint.fingerprint(world.database)
  await world.database.query(
    `alter table sms_retry_pgboss.job add constraint nothing_more check (name <> 'attempt') not valid`,
  )
  expect(await report({ ...FAILED, sid, message: id })).toBe(503)
  expect(await endpoint.fingerprint(world.database)).toEqual(before)
  // The error is logged, without values of the row. It is removed for the check after each test.
  const told = world.log.splice(
    world.log.findIndex(({ level }) => level === 'error'),
    1,
  )
  expect(endpoint.personalLines(told)).toEqual([])

  await world.database.query('alter table sms_retry_pgboss.job drop constraint nothing_more')
  expect(await report({ ...FAILED, sid, message: id })).toBe(204)
  expect(await jobsOf(id)).toEqual([1])
})

function codeFor(status: string): { status: string; code?: string } {
  return status === 'undelivered' || status === 'failed' ? { status, code: '30003' } : { status }
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]]
  return items.flatMap((first, i) => permutations(items.toSpliced(i, 1)).map((rest) => [first, ...rest]))
}
