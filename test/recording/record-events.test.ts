// The only path into the database: row and job change together, batches do not deadlock, and the events of a batch build on
// each other. The decisions are tested in delivery/.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Database } from '../../src/postgres/pool.ts'
import type { Event } from '../../src/delivery/message.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import type { TwilioStatus } from '../../src/delivery/status.ts'
import { DatabaseError } from '../../src/shared/errors.ts'
import { jobId } from '../../src/jobs/job-id.ts'
import { type Queue, startQueue } from '../../src/jobs/queue.ts'
import { type MessageEvent, recordEvents } from '../../src/recording/record-events.ts'
import { open } from '../db/original-table.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import { newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { insertMessage } from '../db/new-message.ts'
import { newMetrics } from '../support/metrics.ts'
import { silentLogger } from '../support/silent-logger.ts'

let own: TestDatabase
let database: Database
let queue: Queue

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own, 10)
  queue = await startQueue(database, 'schedule', silentLogger)
})

afterAll(async () => {
  await queue.stop(1_000)
  await database.close()
  await own.drop()
})

const policy = createRetryPolicy({ jitter: 0 })
const record = (messageEvents: readonly MessageEvent[]) =>
  recordEvents(
    { database, queue, policy, circumstances: UNRESTRICTED, metrics: newMetrics(policy), random: () => 0 },
    messageEvents,
  )

const KEY = 'key-of-a-message'

interface Sent {
  readonly id: number
  readonly sid: string
}

/** A message that Twilio has accepted. */
async function send(): Promise<Sent> {
  const inserted = await insertMessage(database, {
    key: KEY,
    userId: '1',
    to: '+12065550100',
    body: 'Hello',
    status: 'submitting',
    maxRetries: 3,
    validForSeconds: null,
    sendAfter: null,
    sendWindow: null,
    timeZone: null,
    reason: null,
    nextRetryAt: null,
    idempotencyKey: null,
    metadata: { campaign: 'may' },
    reconcileAfterSeconds: 45,
    identity: null,
    traceparent: null,
  })
  if (inserted === null) throw new Error('not inserted')
  const { id, insertedAt: claimedAt } = inserted
  const sid = newSid()
  const answer = { outcome: 'accepted', sid, status: 'queued', errorCode: null, errorText: null } as const
  const event = { kind: 'answer', attempt: 0, claimedAt, answer, processingTimeMs: 5 } as const
  await record([{ target: { id }, event }])
  return { id, sid }
}

const report = ({ id, sid }: Sent, status: TwilioStatus, errorCode: number | null = null): MessageEvent => ({
  target: { id },
  event: { kind: 'report', attempt: 0, sid, status, errorCode, errorText: null },
})
const failed = (message: Sent): MessageEvent => report(message, 'undelivered', 30003)

async function rowOf({ id }: Pick<Sent, 'id'>) {
  const [row] = await own.query<{ status: string; retryCount: number; version: string }>(
    `select final_status as "status", retry_count as "retryCount", next_retry_at is not null as "isDue", success,
            xmin::text as "version"
       from sms_usage_logs where id = $1`,
    [id],
  )
  return row
}

async function jobsOf({ id }: Pick<Sent, 'id'>): Promise<string[]> {
  const jobs = await own.query<{ id: string }>(
    `select id from sms_retry_pgboss.job where (data ->> 'message')::int = $1 order by id`,
    [id],
  )
  return jobs.map((job) => job.id)
}

const firstRetryOf = ({ id }: Sent): string =>
  jobId({ messageId: id, key: KEY, attempt: 1, postponements: 0 })

/** Makes each change of a job fail, while `work` runs. */
async function whileJobsFail(change: 'insert' | 'delete', work: () => Promise<void>): Promise<void> {
  await own.query(
    `create function refuse_jobs() returns trigger language plpgsql as $$ begin raise exception 'no jobs today'; end $$`,
  )
  await own.query(
    `create trigger refuse_jobs before ${change} on sms_retry_pgboss.job for each row execute function refuse_jobs()`,
  )
  try {
    await work()
  } finally {
    await own.query('drop function refuse_jobs cascade')
  }
}

describe('row and job change together or not at all', () => {
  test('a failure when the job is added leaves all rows of the batch unchanged', async () => {
    const [message, other] = [await send(), await send()]
    const before = [await rowOf(message), await rowOf(other)]
    const messageEvents = [failed(message), report(other, 'delivered')]
    await whileJobsFail('insert', async () => {
      await expect(record(messageEvents)).rejects.toThrow(DatabaseError)
      await expect(record(messageEvents)).rejects.toThrow('no jobs today')
    })
    expect([await rowOf(message), await rowOf(other)]).toEqual(before)
    expect(await jobsOf(message)).toEqual([])

    await record(messageEvents)
    expect(await rowOf(message)).toMatchObject({ status: 'retrying', retryCount: 1, isDue: true })
    expect(await rowOf(other)).toMatchObject({ status: 'delivered' })
    expect(await jobsOf(message)).toEqual([firstRetryOf(message)])
  })

  test('a failure when the job is removed leaves row and job unchanged', async () => {
    const message = await send()
    await record([failed(message)])
    const before = await rowOf(message)
    await whileJobsFail('delete', async () => {
      await expect(record([report(message, 'delivered')])).rejects.toThrow('no jobs today')
    })
    expect(await rowOf(message)).toEqual(before)
    expect(await jobsOf(message)).toEqual([firstRetryOf(message)])
  })

  test('a failure when the row is written leaves no job', async () => {
    const message = await send()
    const before = await rowOf(message)
    await own.query(
      `alter table sms_usage_logs add constraint no_retries check (final_status <> 'retrying') not valid`,
    )
    await expect(record([failed(message)])).rejects.toThrow('no_retries')
    await own.query('alter table sms_usage_logs drop constraint no_retries')
    expect(await rowOf(message)).toEqual(before)
    expect(await jobsOf(message)).toEqual([])
  })

  test('failures leak no connection: after more failures than connections, recording still works', async () => {
    const messages = await Promise.all(Array.from({ length: 30 }, send))
    await whileJobsFail('insert', async () => {
      const outcomes = await Promise.allSettled(messages.map((message) => record([failed(message)])))
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toEqual([])
    })
    await Promise.all(messages.map((message) => record([failed(message)])))
    const jobs = await Promise.all(messages.map(jobsOf))
    expect(jobs).toEqual(messages.map((message) => [firstRetryOf(message)]))
  })
})

describe('batches with the same rows', () => {
  test('concurrent batches in opposite and mixed orders, by id and by sid, do not deadlock', async () => {
    const messages = await Promise.all(Array.from({ length: 20 }, send))
    const bySid = (messageEvent: MessageEvent, { sid }: Sent): MessageEvent => ({
      ...messageEvent,
      target: { sid },
    })
    for (const events of [['sent'], ['undelivered', 30003], ['delivered']] as const) {
      const [status, errorCode = null] = events
      const batch = messages.map((message, i) => {
        const messageEvent = report(message, status, errorCode)
        return i % 2 === 0 ? messageEvent : bySid(messageEvent, message)
      })
      const rotated = (by: number) => [...batch.slice(by), ...batch.slice(0, by)]
      const batches = messages.flatMap((_, i) => [rotated(i), rotated(i).toReversed()])
      const recorded = await Promise.all(batches.map(record))
      // Each event took effect once, in one of the forty batches.
      const effects = recorded.flat().filter((one) => one.known && one.decision.kind !== 'ignore')
      expect(effects).toHaveLength(messages.length)
    }
    for (const message of messages) {
      expect(await rowOf(message)).toMatchObject({ status: 'delivered', retryCount: 0, isDue: false })
      expect(await jobsOf(message)).toEqual([])
    }
  })

  test('ten concurrent reports of the same failure schedule one retry', async () => {
    const message = await send()
    const recorded = await Promise.all(Array.from({ length: 10 }, () => record([failed(message)])))
    const kinds = recorded.flat().map((one) => (one.known ? one.decision.kind : 'unknown'))
    expect(kinds.toSorted()).toEqual([...Array<string>(9).fill('ignore'), 'schedule'])
    expect(await jobsOf(message)).toEqual([firstRetryOf(message)])
  })

  test('ten concurrent claims of the same due attempt submit once', async () => {
    const message = await send()
    await record([failed(message)])
    await own.query('update sms_usage_logs set next_retry_at = now() where id = $1', [message.id])
    const due: MessageEvent = { target: { id: message.id }, event: { kind: 'due', attempt: 1 } }
    // Twice in one batch as well: a job may run twice.
    const recorded = await Promise.all(Array.from({ length: 10 }, () => record([due, due])))
    const kinds = recorded.flat().map((one) => (one.known ? one.decision.kind : 'unknown'))
    expect(kinds.toSorted()).toEqual([...Array<string>(19).fill('ignore'), 'submit'])
  })
})

describe('several events of one message in one batch', () => {
  const CANCEL: Event = { kind: 'cancel' }
  const cancel = ({ id }: Sent): MessageEvent => ({ target: { id }, event: CANCEL })
  const delivered = (message: Sent): MessageEvent => report(message, 'delivered')
  const sent = (message: Sent): MessageEvent => report(message, 'sent')

  test.each<[what: string, events: ((message: Sent) => MessageEvent)[], status: string, jobs: number]>([
    ['failed, delivered', [failed, delivered], 'delivered', 0],
    ['delivered, failed', [delivered, failed], 'delivered', 0],
    ['failed, sent', [failed, sent], 'retrying', 1],
    ['sent, failed', [sent, failed], 'retrying', 1],
    ['failed, failed', [failed, failed], 'retrying', 1],
    ['failed, canceled', [failed, cancel], 'canceled', 0],
    ['failed, canceled, delivered', [failed, cancel, delivered], 'delivered', 0],
  ])('%s: the result is the same in one batch as in several', async (_what, events, status, jobs) => {
    const [together, apart, waiting] = [await send(), await send(), await send()]
    await record(events.map((event) => event(together)))
    for (const event of events) await record([event(apart)])
    // Here the job exists before, and the batch has to remove it.
    await record([failed(waiting)])
    await record(events.map((event) => event(waiting)))
    for (const message of [together, apart, waiting]) {
      expect(await rowOf(message)).toMatchObject({ status, isDue: jobs > 0 })
      expect(await jobsOf(message)).toHaveLength(jobs)
    }
  })

  test('each event gets its own result, with the message before it', async () => {
    const message = await send()
    const recorded = await record([failed(message), delivered(message), failed(message)])
    const steps = recorded.map((one) => one.known && [one.before.status, one.decision.kind])
    expect(steps).toEqual([
      ['queued', 'schedule'],
      ['retrying', 'unschedule'],
      ['delivered', 'ignore'],
    ])
  })
})

describe('events of messages that are not in the table', () => {
  const event = {
    kind: 'report',
    attempt: 0,
    sid: newSid(),
    status: 'undelivered',
    errorCode: 30003,
  } as const

  test.each([
    { target: { id: 2_000_000_000 } },
    { target: { id: 999_999_999_999_999 } },
    { target: { sid: event.sid } },
    { target: { sid: "'; drop table sms_usage_logs; --" } },
  ])('$target: unknown, nothing is written for it, and the other event is recorded', async ({ target }) => {
    const message = await send()
    const stranger: MessageEvent = { target, event: { ...event, errorText: null } }
    const rows = async () => (await own.query('select count(*)::int as "n" from sms_usage_logs'))[0]
    const before = await rows()
    const recorded = await record([stranger, failed(message), stranger])
    expect(recorded.map(({ known }) => known)).toEqual([false, true, false])
    expect(await rows()).toEqual(before)
    expect(await rowOf(message)).toMatchObject({ status: 'retrying' })
    expect(await record([stranger])).toEqual([{ known: false }])
  })

  test('an event that was recorded before does not write the row again', async () => {
    const message = await send()
    const events = [report(message, 'sent'), report(message, 'delivered')]
    await record(events)
    const before = await rowOf(message)
    const recorded = await record(events)
    expect(recorded.map((one) => one.known && one.decision.kind)).toEqual(['ignore', 'ignore'])
    expect(await rowOf(message)).toEqual(before)
  })

  test('an empty batch has no results', async () => {
    expect(await record([])).toEqual([])
  })
})
