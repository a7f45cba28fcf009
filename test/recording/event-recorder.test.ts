// Natural batching: events that arrive together are written together, and each gets its own result, whatever happens to the
// others. The decisions are tested in delivery/.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { type Database, openDatabase } from '../../src/postgres/pool.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import type { TwilioStatus } from '../../src/delivery/status.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { DatabaseError, OverloadedError } from '../../src/shared/errors.ts'
import { EventRecorder } from '../../src/recording/event-recorder.ts'
import { jobId } from '../../src/jobs/job-id.ts'
import { startQueue } from '../../src/jobs/queue.ts'
import type { MessageEvent, RecordResult } from '../../src/recording/record-events.ts'
import { open } from '../db/original-table.ts'
import { startDatabaseProxy } from '../http/database-proxy.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import { newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newMetrics } from '../support/metrics.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

let own: TestDatabase
let first: Process
let recorder: EventRecorder
const ends: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  own = await createTestDatabase()
  first = await newProcess()
  recorder = first.recorder
})

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  await own.drop()
})

const policy = createRetryPolicy({ jitter: 0 })

interface Process {
  readonly recorder: EventRecorder
  /** A test can call it before its end. */
  end(): Promise<void>
}

/** With connections of its own. */
async function newProcess(database: Database = open(own, 5), connections = 5): Promise<Process> {
  const queue = await startQueue(database, 'schedule', silentLogger)
  const end = async (): Promise<void> => {
    await queue.stop(1_000)
    await database.close()
  }
  ends.push(end)
  const deps = {
    database,
    queue,
    policy,
    circumstances: UNRESTRICTED,
    metrics: newMetrics(policy),
    random: () => 0,
  }
  return { recorder: new EventRecorder(deps, connections), end }
}

async function newClient(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: own.url })
  await client.connect()
  ends.push(() => client.end())
  return client
}

interface Sent {
  readonly id: number
  readonly sid: string
}

const APP = 7
const REFUSED = 13

/** Messages that Twilio has accepted. */
function send(count: number, userId = APP): Promise<Sent[]> {
  return own.query<Sent & Record<string, unknown>>(
    `insert into sms_usage_logs
       (user_id, phone_number, message_direction, message_length, message_content, twilio_message_sid)
     select $2, '+12065550100', 'outbound', 5, 'Hello', 'SM' || md5(random()::text) from generate_series(1, $1)
     returning id, twilio_message_sid as "sid"`,
    [count, userId],
  )
}

function report({ id, sid }: Sent, status: TwilioStatus, errorCode: number | null = null): MessageEvent {
  return { target: { id }, event: { kind: 'report', attempt: 0, sid, status, errorCode, errorText: null } }
}
const failed = (message: Sent): MessageEvent => report(message, 'undelivered', 30003)

const recordAll = (messages: readonly Sent[], by = recorder): Promise<PromiseSettledResult<RecordResult>[]> =>
  Promise.allSettled(messages.map((message) => by.record(failed(message))))

/** The kind of the decision, or the error's code. */
function outcomeOf(result: PromiseSettledResult<RecordResult>): string {
  if (result.status === 'rejected') return String(result.reason.code)
  return result.value.known ? result.value.decision.kind : 'unknown message'
}

/** For each transaction, how many rows it changed. */
async function rowsByTransaction(): Promise<number[]> {
  const rows = await own.query<{ rows: number }>(
    `select count(*)::integer as "rows" from sms_usage_logs
      where final_status <> 'unknown' group by xmin::text order by 1`,
  )
  return rows.map(({ rows: count }) => count)
}

async function recorded(): Promise<number[]> {
  const rows = await own.query<{ id: number }>(
    `select id from sms_usage_logs where final_status = 'retrying' order by id`,
  )
  return rows.map(({ id }) => id)
}

/** The messages that have a retry, once for each job. */
async function retried(): Promise<number[]> {
  const jobs = await own.query<{ id: string; message: number }>(
    `select id, (data ->> 'message')::integer as "message" from sms_retry_pgboss.job where name = 'attempt'
      order by 2`,
  )
  const idOf = (messageId: number): string => jobId({ messageId, key: null, attempt: 1, postponements: 0 })
  // One `expect` for each of thousands would take longer than what is tested.
  expect(jobs.filter(({ id, message }) => id !== idOf(message))).toEqual([])
  return jobs.map(({ message }) => message)
}

const idsOf = (messages: readonly Sent[]): number[] => messages.map(({ id }) => id).toSorted((a, b) => a - b)

/** Exactly these messages have a recorded failure and a job. */
async function expectRecorded(messages: readonly Sent[]): Promise<void> {
  expect(await recorded()).toEqual(idsOf(messages))
  expect(await retried()).toEqual(idsOf(messages))
}

function untilWaiting(count: number): Promise<unknown> {
  return waitFor(`${count} connections to wait for a lock`, async () => {
    const waiting = await own.query(
      `select 1 from pg_stat_activity
        where datname = current_database() and application_name = 'sms-retry' and wait_event_type = 'Lock'`,
    )
    return waiting.length === count
  })
}

describe('events that arrive together are written together', () => {
  test('fifty events are one transaction', async () => {
    const messages = await send(50)
    expect((await recordAll(messages)).map(outcomeOf)).toEqual(Array(50).fill('schedule'))
    expect(await rowsByTransaction()).toEqual([50])
    await expectRecorded(messages)
  })

  test('a single event is written without waiting for others', async () => {
    const messages = await send(3)
    for (const message of messages) {
      expect(await recorder.record(failed(message))).toMatchObject({ known: true })
    }
    expect(await rowsByTransaction()).toEqual([1, 1, 1])
    await expectRecorded(messages)
  })

  test('events that arrive while a batch is written form the next batch', async () => {
    const messages = await send(32)
    const app = await newClient()
    await app.query('begin; lock table sms_usage_logs in access exclusive mode')
    const one = recordAll(messages.slice(0, 1))
    await untilWaiting(1)
    const [another, later] = [recordAll(messages.slice(1, 2)), recordAll(messages.slice(2))]
    await app.query('commit')
    await Promise.all([one, another, later])
    expect(await rowsByTransaction()).toEqual([1, 31])
    await expectRecorded(messages)
  })

  test('more events than fit into a batch are written in several', async () => {
    const messages = await send(450)
    expect((await recordAll(messages)).map(outcomeOf)).toEqual(Array(450).fill('schedule'))
    expect(await rowsByTransaction()).toEqual([50, 100, 100, 100, 100])
    await expectRecorded(messages)
  })

  test('several events of one message are decided in their order, once each', async () => {
    const [message, ...others] = await send(10)
    if (message === undefined) throw new Error('not sent')
    const events = [failed(message), report(message, 'delivered'), failed(message)]
    const results = Promise.all(events.map((event) => recorder.record(event)))
    const neighbours = recordAll(others)
    const steps = (await results).map((one) => one.known && [one.before.status, one.decision.kind])
    expect(steps).toEqual([
      ['unknown', 'schedule'],
      ['retrying', 'unschedule'],
      ['delivered', 'ignore'],
    ])
    expect((await neighbours).map(outcomeOf)).toEqual(Array(9).fill('schedule'))
    expect(await rowsByTransaction()).toEqual([10])
    await expectRecorded(others)
  })

  test('an event of a message that is not in the table is unknown, and the others are recorded', async () => {
    const messages = await send(2)
    const stranger: Sent = { id: 2_000_000_000, sid: newSid() }
    const bySid: MessageEvent = { ...failed(stranger), target: { sid: stranger.sid } }
    const results = await Promise.all([
      recorder.record(failed(stranger)),
      ...messages.map((message) => recorder.record(failed(message))),
      recorder.record(bySid),
    ])
    expect(results.map(({ known }) => known)).toEqual([false, true, true, false])
    await expectRecorded(messages)
  })
})

/** Two messages that the database refuses among sixty that it accepts: only the two fail. */
async function recordAround() {
  const [before, bad, after] = [await send(30), await send(2, REFUSED), await send(30)]
  const results = await recordAll([...before, ...bad, ...after])
  const written = Array(30).fill('schedule')
  expect(results.map(outcomeOf)).toEqual([...written, 'DATABASE', 'DATABASE', ...written])
  return { bad, others: [...before, ...after], results }
}

describe('an event that the database refuses fails alone', () => {
  test.each([
    [
      'a check constraint',
      `alter table sms_usage_logs add constraint no_retries check (user_id <> ${REFUSED} or success) not valid`,
    ],
    [
      'a trigger',
      `create trigger refuse before update on sms_usage_logs
       for each row when (new.user_id = ${REFUSED}) execute function refuse()`,
    ],
    [
      'a trigger at the commit',
      `create constraint trigger refuse after update on sms_usage_logs deferrable initially deferred
       for each row when (new.user_id = ${REFUSED}) execute function refuse()`,
    ],
  ])('because of %s: the others are recorded', async (_what, rule) => {
    await own.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$`,
    )
    await own.query(rule)
    const { others, results } = await recordAround()
    expect(results[30]).toMatchObject({ reason: { written: 'no', isRefusal: true } })
    await expectRecorded(others)
  })

  test('if all of 500 events are refused, connections stay free for others', async () => {
    await own.query('alter table sms_usage_logs add constraint none check (retry_count = 0) not valid')
    const database = open(own, 5)
    const { recorder: refusing } = await newProcess(database)
    const results = await recordAll(await send(500), refusing)
    expect(new Set(results.map(outcomeOf))).toEqual(new Set(['DATABASE']))
    expect(database.connections().total).toBeLessThan(5)
  })

  test('because its job is refused: its row does not change', async () => {
    const messages = await send(20)
    const bad = messages.splice(10, 1)
    await own.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$`,
    )
    await own.query(
      `create trigger refuse before insert on sms_retry_pgboss.job
       for each row when ((new.data ->> 'message')::integer = ${bad[0]?.id}) execute function refuse()`,
    )
    const [results, refused] = await Promise.all([recordAll(messages), recordAll(bad)])
    expect(results.map(outcomeOf)).toEqual(Array(19).fill('schedule'))
    expect(refused).toMatchObject([{ reason: { code: 'DATABASE', written: 'no', isRefusal: true } }])
    await expectRecorded(messages)
  })
})

describe('a blocked row does not delay the others', () => {
  /** An app whose trigger counts the updates of each campaign. */
  async function countByCampaign(): Promise<void> {
    await own.query('create table campaign (id integer primary key, updates integer not null default 0)')
    await own.query(`insert into campaign (id) values (${APP}), (${REFUSED})`)
    await own.query(
      `create function count_updates() returns trigger language plpgsql as
       $$ begin update campaign set updates = updates + 1 where id = new.user_id; return null; end $$`,
    )
    await own.query(
      'create trigger count_updates after update on sms_usage_logs for each row execute function count_updates()',
    )
  }

  test('while the app locks a campaign, events of others are recorded; its own follow when the lock is released', async () => {
    await countByCampaign()
    const [before, blocked, after] = [await send(50), await send(3, REFUSED), await send(55)]
    const app = await newClient()
    await app.query('begin')
    await app.query('update campaign set updates = 0 where id = $1', [REFUSED])
    const results = [before, blocked, after].map((messages) => recordAll(messages))
    const [first, second, third] = results as [(typeof results)[0], (typeof results)[0], (typeof results)[0]]
    const others = [...(await first), ...(await third)]
    expect(others.map(outcomeOf)).toEqual(Array(105).fill('schedule'))
    await expectRecorded([...before, ...after])
    await app.query('commit')
    expect((await second).map(outcomeOf)).toEqual(Array(3).fill('schedule'))
    await expectRecorded([...before, ...blocked, ...after])
  })

  test.each([
    ['a lock that another transaction holds', '55P03'],
    ['a conflict', '40001'],
    ['a deadlock', '40P01'],
    ['a canceled statement', '57014'],
  ])('an event that meets %s (%s) fails alone and can be recorded later', async (_what, code) => {
    await own.query(
      `create function refuse() returns trigger language plpgsql as
       $$ begin raise exception 'not now' using errcode = '${code}'; end $$`,
    )
    await own.query(
      `create trigger refuse before update on sms_usage_logs
       for each row when (new.user_id = ${REFUSED}) execute function refuse()`,
    )
    const { bad, results } = await recordAround()
    expect(results[30]).toMatchObject({ reason: { written: 'no', scope: 'busy_row' } })
    await own.query('drop trigger refuse on sms_usage_logs')
    expect((await recordAll(bad)).map(outcomeOf)).toEqual(['schedule', 'schedule'])
  })
})

test('an event whose change the database ignores without an error fails alone', async () => {
  await own.query('create function keep() returns trigger language plpgsql as $$ begin return null; end $$')
  await own.query(
    `create trigger keep before update on sms_usage_logs
     for each row when (new.user_id = ${REFUSED}) execute function keep()`,
  )
  const { others, results } = await recordAround()
  expect(results[30]).toMatchObject({ reason: { written: 'no', scope: 'refused_row' } })
  expect(await recorded()).toEqual(idsOf(others))
  // All in one transaction: no event was retried.
  expect(await rowsByTransaction()).toEqual([60])
})

test('an event of a locked row waits apart and is recorded when the lock is released', async () => {
  const [locked, ...others] = await send(150)
  if (locked === undefined) throw new Error('not sent')
  const app = await newClient()
  await app.query('begin')
  await app.query('select 1 from sms_usage_logs where id = $1 for update', [locked.id])
  let isRecorded = false
  const waiting = recorder.record(failed(locked)).finally(() => {
    isRecorded = true
  })
  expect((await recordAll(others.slice(0, 100))).map(outcomeOf)).toEqual(Array(100).fill('schedule'))
  await untilWaiting(1)
  // Later events as well.
  expect((await recordAll(others.slice(100))).map(outcomeOf)).toEqual(Array(49).fill('schedule'))
  expect(isRecorded).toBe(false)
  await expectRecorded(others)

  await app.query('commit')
  expect(await waiting).toMatchObject({ known: true, decision: { kind: 'schedule' } })
  await expectRecorded([locked, ...others])
})

test('two processes with the same events in opposite orders do not deadlock, and each event counts once', async () => {
  const messages = await send(300)
  const second = await newProcess()
  const results = await Promise.all([recordAll(messages), recordAll(messages.toReversed(), second.recorder)])
  const outcomes = results.flat().map(outcomeOf).toSorted()
  expect(outcomes).toEqual([...Array(300).fill('ignore'), ...Array(300).fill('schedule')])
  await expectRecorded(messages)
  // PostgreSQL adds the statistics of a connection when it ends.
  await Promise.all([first.end(), second.end()])
  await waitFor('the connections to have ended', async () => {
    const left = await own.query(
      `select 1 from pg_stat_activity where datname = current_database() and application_name = 'sms-retry'`,
    )
    return left.length === 0
  })
  const [statistics] = await own.query(
    'select deadlocks::integer from pg_stat_database where datname = current_database()',
  )
  expect(statistics).toEqual({ deadlocks: 0 })
})

test('when too many events wait, further ones are refused immediately; the waiting ones are recorded', async () => {
  const messages = await send(2_400)
  const app = await newClient()
  await app.query('begin; lock table sms_usage_logs in access exclusive mode')
  let isOpen = false
  const refusedMeanwhile: Sent[] = []
  const results = Promise.allSettled(
    messages.map((message) =>
      recorder.record(failed(message)).catch((error: unknown) => {
        if (!isOpen && error instanceof OverloadedError) refusedMeanwhile.push(message)
        throw error
      }),
    ),
  )
  await untilWaiting(1)
  isOpen = true
  await app.query('commit')

  const outcomes = (await results).map(outcomeOf)
  const taken = messages.filter((_, i) => outcomes[i] === 'schedule')
  const refused = messages.filter((_, i) => outcomes[i] === 'OVERLOADED')
  expect(taken.length + refused.length).toBe(messages.length)
  expect(refused.length).toBeGreaterThan(0)
  expect(refusedMeanwhile).toEqual(refused)
  await expectRecorded(taken)

  // There is room again.
  expect((await recordAll(refused)).map(outcomeOf)).toEqual(refused.map(() => 'schedule'))
  await expectRecorded(messages)
})

test.each([
  ['the rows are read', 'for no key update', 'no'],
  ['the batch is committed', 'commit', 'unknown'],
])('a connection that is cut when %s fails that batch only', async (_when, text, written) => {
  const proxy = await startDatabaseProxy(own.url, await freePort())
  ends.push(() => proxy.close())
  const database = openDatabase({ url: proxy.url, ssl: null, poolMax: 5 }, () => undefined)
  const { recorder: cutOff } = await newProcess(database)
  const messages = await send(400)
  const lost = proxy.loseAt(text, 'never')
  const results = await recordAll(messages, cutOff)
  await lost
  const isLost = results.map(({ status }) => status === 'rejected')
  const from = isLost.indexOf(true)
  const [batch, others] = [messages.slice(from, from + 100), messages.filter((_, i) => !isLost[i])]
  expect(isLost).toEqual(messages.map((_, i) => i >= from && i < from + 100))
  for (const result of results.slice(from, from + 100)) {
    expect(result).toMatchObject({ reason: expect.any(DatabaseError) })
    expect(result).toMatchObject({ reason: { written, isRefusal: false } })
  }
  await expectRecorded(others)

  expect((await recordAll(batch, cutOff)).map(outcomeOf)).toEqual(batch.map(() => 'schedule'))
  await expectRecorded(messages)
})

test('when too many events wait for locked rows, further ones are refused; all others are recorded', async () => {
  const locked = await send(2_100)
  const [other] = (await send(1)) as [Sent]
  const app = await newClient()
  await app.query('begin')
  await app.query('select 1 from sms_usage_logs where id <> $1 for update', [other.id])
  const underWay: Promise<PromiseSettledResult<RecordResult>[]>[] = []
  for (let start = 0; start < locked.length; start += 300) {
    underWay.push(recordAll(locked.slice(start, start + 300)))
    // Other events are recorded while these move to the second queue.
    expect(outcomeOf((await recordAll([other]))[0] as PromiseSettledResult<RecordResult>)).not.toBe(
      'OVERLOADED',
    )
  }
  expect(await recorded()).toEqual([other.id])
  await app.query('commit')
  const outcomes = (await Promise.all(underWay)).flat().map(outcomeOf)
  // Two batches wait in the database, and a thousand events in the queue.
  expect(outcomes.filter((outcome) => outcome === 'OVERLOADED').length).toBeGreaterThan(500)
  expect(outcomes.filter((outcome) => outcome === 'schedule').length).toBeGreaterThan(500)
})

test('a locked row leaves a connection to all other events, even in a pool of two', async () => {
  const { recorder: small } = await newProcess(open(own, 2), 2)
  const [a, b, c] = (await send(3)) as [Sent, Sent, Sent]
  const app = await newClient()
  await app.query('begin')
  await app.query('select 1 from sms_usage_logs where id <> $1 for update', [c.id])
  const locked = recordAll([a, b], small)
  await untilWaiting(1)
  await small.record(failed(c))
  expect(await recorded()).toEqual([c.id])
  await app.query('commit')
  expect((await locked).map(outcomeOf)).toEqual(['schedule', 'schedule'])
})

test('a batch that fails because the table is missing is not retried in pieces', async () => {
  const messages = await send(100)
  await own.query('alter table sms_usage_logs rename to gone')
  const results = await recordAll(messages)
  await own.query('alter table gone rename to sms_usage_logs')
  // All have the error of a single statement.
  const reasons = new Set(results.map((result) => (result.status === 'rejected' ? result.reason : null)))
  expect(reasons.size).toBe(1)
  expect([...reasons][0]).toMatchObject({ code: 'DATABASE', isRefusal: false })
})
