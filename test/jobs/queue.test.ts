// Tests the job queue: the ids of jobs, adding and removing them in a transaction, and the one job of the sweeps.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Database, openDatabase } from '../../src/postgres/pool.ts'
import type { JobRef } from '../../src/delivery/decision.ts'
import { DatabaseError, SchemaError } from '../../src/shared/errors.ts'
import {
  type AttemptJob,
  type FailedJobs,
  type Queue,
  type ScheduledJob,
  startQueue,
} from '../../src/jobs/queue.ts'
import { jobId } from '../../src/jobs/job-id.ts'
import { configOf, open } from '../db/original-table.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

let own: TestDatabase
let database: Database
let queue: Queue

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own)
  queue = await startQueue(database, 'schedule', silentLogger)
})

afterAll(async () => {
  await queue.stop(1_000)
  await database.close()
  await own.drop()
})

let lastMessage = 0
const newJob = (at: Date | null = null): ScheduledJob => {
  lastMessage += 1
  return { messageId: lastMessage, key: null, attempt: 1, postponements: 0, at }
}

const jobsOf = ({ messageId }: ScheduledJob) =>
  own.query<{ id: string; data: AttemptJob; at: Date }>(
    `select id, data, start_after as "at" from sms_retry_pgboss.job where (data ->> 'message')::int = $1
      order by id`,
    [messageId],
  )

describe('the id of a job', () => {
  const MESSAGES = [
    1,
    2,
    15,
    16,
    255,
    4096,
    65_536,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    2 ** 48 - 1,
    2 ** 48,
    2 ** 53 - 1,
  ]
  const ATTEMPTS = [0, 1, 2, 9, 10, 15, 16, 255, 256, 4095]
  const POSTPONEMENTS = [0, 1, 10, 16, 4096, 65_536, 2 ** 32 - 1]
  const grid = MESSAGES.flatMap((message) =>
    ATTEMPTS.flatMap((attempt) =>
      POSTPONEMENTS.map((postponements) => [message, { attempt, postponements }] as const),
    ),
  )
  const KEYS = [null, 'key-of-message_1', 'key-of-message_2']
  const idOf = (messageId: number, job: JobRef, key: string | null = null): string =>
    jobId({ messageId, key, ...job })
  const ids = grid.flatMap(([message, job]) => KEYS.map((key) => idOf(message, job, key)))

  test('is always the same for the same attempt', () => {
    expect(grid.flatMap(([message, job]) => KEYS.map((key) => idOf(message, { ...job }, key)))).toEqual(ids)
    // Literal ids, because databases of users have jobs of older versions.
    expect(idOf(42, { attempt: 3, postponements: 1 }, 'key-of-message_1')).toBe(
      'a973f8f6-2ef9-8c0b-83b2-4db98ad39b56',
    )
  })

  test('differs between any two jobs', () => {
    expect(ids).toHaveLength(3 * 910)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('is a valid UUID of version 8 that PostgreSQL accepts', async () => {
    const form = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    expect(ids.filter((id) => !form.test(id))).toEqual([])
    const [row] = await own.query<{ ids: string[] }>('select ($1::uuid[])::text[] as "ids"', [ids])
    expect(row?.ids).toEqual(ids)
  })
})

describe('schedule()', () => {
  test('adds a job with ids only, at the given time', async () => {
    const at = new Date('2031-05-06T07:08:09.123Z')
    const job = newJob(at)
    await queue.schedule(database, [job])
    expect(await jobsOf(job)).toEqual([{ id: jobId(job), data: { message: job.messageId, attempt: 1 }, at }])
  })

  test('adds the same job once if it is called twice, and does not abort the transaction', async () => {
    const first = newJob(new Date('2031-01-01T00:00:00Z'))
    const other = newJob(new Date('2031-01-01T00:00:00Z'))
    await queue.schedule(database, [first])
    await database.transaction(async (tx) => {
      await queue.schedule(tx, [{ ...first, at: new Date('2032-01-01T00:00:00Z') }, other])
      await tx.executeSql('select 1')
    })
    expect(await jobsOf(first)).toMatchObject([{ at: first.at }])
    expect(await jobsOf(other)).toHaveLength(1)
  })

  test('adds the same job once if it is called ten times at once', async () => {
    const job = newJob(new Date('2031-01-01T00:00:00Z'))
    await Promise.all(Array.from({ length: 10 }, () => queue.schedule(database, [job])))
    expect(await jobsOf(job)).toHaveLength(1)
  })

  test('adds another job for a postponed attempt', async () => {
    const job = newJob(new Date('2031-01-01T00:00:00Z'))
    await queue.schedule(database, [job, { ...job, postponements: 1 }])
    expect(await jobsOf(job)).toHaveLength(2)
  })

  test('is rolled back with its transaction', async () => {
    const job = newJob()
    const undone = database.transaction(async (tx) => {
      await queue.schedule(tx, [job])
      throw new Error('changed my mind')
    })
    await expect(undone).rejects.toThrow('changed my mind')
    expect(await jobsOf(job)).toEqual([])
  })
})

describe('unschedule()', () => {
  test('removes the given jobs only', async () => {
    const jobs = [newJob(), newJob(), newJob()]
    await queue.schedule(database, jobs)
    await queue.unschedule(database, jobs.slice(0, 2))
    expect((await Promise.all(jobs.map(jobsOf))).map(({ length }) => length)).toEqual([0, 0, 1])
  })

  test('is rolled back with its transaction', async () => {
    const job = newJob()
    await queue.schedule(database, [job])
    const undone = database.transaction(async (tx) => {
      await queue.unschedule(tx, [job])
      throw new Error('changed my mind')
    })
    await expect(undone).rejects.toThrow('changed my mind')
    expect(await jobsOf(job)).toHaveLength(1)
  })

  test('does nothing for a missing job, and without jobs', async () => {
    await queue.unschedule(database, [newJob()])
    await queue.unschedule(database, [])
  })
})

test('a job whose handler throws runs again', async () => {
  const other = await createTestDatabase()
  const otherDatabase = open(other)
  const worker = await startQueue(otherDatabase, 'work', silentLogger)
  const runs: (readonly AttemptJob[])[] = []
  const polling = worker.work({ batchSize: 10 }, async (jobs) => {
    runs.push(jobs)
    if (runs.length === 1) throw new Error('the database failed')
    return new Map()
  })
  await polling.resume()
  await worker.schedule(otherDatabase, [{ messageId: 7, key: null, attempt: 2, postponements: 0, at: null }])
  await waitFor('the job to run again', () => runs.length >= 2)
  await waitFor('the job to be done', async () => {
    const [job] = await other.query<{ state: string }>('select state from sms_retry_pgboss.job')
    return job?.state === 'completed'
  })
  expect(runs).toEqual([[{ message: 7, attempt: 2 }], [{ message: 7, attempt: 2 }]])
  await worker.stop(5_000)
  await otherDatabase.close()
  await other.drop()
})

test('only the failed job of a batch runs again', async () => {
  const other = await createTestDatabase()
  const otherDatabase = open(other)
  const worker = await startQueue(otherDatabase, 'work', silentLogger)
  const job = { attempt: 0, postponements: 0 }
  const jobs = [1, 2, 3].map((messageId) => ({ messageId, key: null, ...job, at: null }))
  await worker.schedule(otherDatabase, jobs)
  const handled: number[][] = []
  const polling = worker.work({ batchSize: 10 }, async (jobs) => {
    handled.push(jobs.map(({ message }) => message).toSorted())
    const bad = jobs.find(({ message }) => message === 2)
    return new Map(handled.length === 1 && bad !== undefined ? [[bad, new Error('its row is locked')]] : [])
  })
  await polling.resume()
  await waitFor('all jobs to be done', async () => {
    const done = await other.query(`select from sms_retry_pgboss.job where state = 'completed'`)
    return done.length === 3
  })
  expect(handled).toEqual([[1, 2, 3], [2]])
  await worker.stop(5_000)
  await otherDatabase.close()
  await other.drop()
})

test('a paused polling takes no job but the one that is asked for, and goes on when it is resumed', async () => {
  const other = await createTestDatabase()
  const otherDatabase = open(other)
  const worker = await startQueue(otherDatabase, 'work', silentLogger)
  const job = { key: null, attempt: 0, postponements: 0, at: null }
  const handled: string[] = []
  const record =
    (by: string) =>
    async (jobs: readonly AttemptJob[]): Promise<FailedJobs> => {
      handled.push(...jobs.map(({ message }) => `${by} ${message}`))
      return new Map()
    }
  const polling = worker.work({ batchSize: 10 }, record('polled'))
  expect(await polling.handleOne(record('taken'))).toBe(false)
  await polling.resume()
  await polling.pause()
  await worker.schedule(
    otherDatabase,
    [1, 2, 3].map((messageId) => ({ ...job, messageId })),
  )
  polling.wake()
  // Longer than the pause between two polls.
  await sleep(1_200)
  expect(handled).toEqual([])
  expect(await polling.handleOne(record('taken'))).toBe(true)
  expect(handled).toHaveLength(1)
  await polling.resume()
  await waitFor('the other jobs', () => handled.length >= 3)
  expect(handled.toSorted()).toEqual([
    expect.stringMatching(/^polled/),
    expect.stringMatching(/^polled/),
    expect.stringMatching(/^taken/),
  ])
  await worker.stop(5_000)
  await otherDatabase.close()
  await other.drop()
})

test('a job that was taken by itself and failed runs again', async () => {
  const other = await createTestDatabase()
  const otherDatabase = open(other)
  const worker = await startQueue(otherDatabase, 'work', silentLogger)
  await worker.schedule(otherDatabase, [{ messageId: 1, key: null, attempt: 0, postponements: 0, at: null }])
  const polling = worker.work({ batchSize: 10 }, async () => new Map())
  const fail = async (): Promise<FailedJobs> => {
    throw new Error('the database failed')
  }
  expect(await polling.handleOne(fail)).toBe(true)
  expect(await other.query('select state from sms_retry_pgboss.job')).toEqual([{ state: 'retry' }])
  await worker.stop(5_000)
  await otherDatabase.close()
  await other.drop()
})

describe('sweeps', () => {
  test('of two processes share one job, and continue if it is lost', async () => {
    const other = await createTestDatabase()
    const otherDatabase = open(other)
    const workers = await Promise.all([0, 1].map(() => startQueue(otherDatabase, 'work', silentLogger)))
    const waiting = `select 1 from sms_retry_pgboss.job where name = 'reconcile' and state = 'created'`
    const seen: number[] = []
    let sweeps = 0
    for (const worker of workers)
      await worker.sweep({ everySeconds: 1 }, async () => {
        sweeps += 1
      })
    await waitFor('two sweeps', async () => {
      seen.push((await other.query(waiting)).length)
      return sweeps >= 2
    })
    expect(Math.max(...seen)).toBe(1)
    const before = sweeps
    await other.query(`delete from sms_retry_pgboss.job where name = 'reconcile'`)
    await waitFor('two more', () => sweeps >= before + 2)
    await Promise.all(workers.map((worker) => worker.stop(5_000)))
    await otherDatabase.close()
    await other.drop()
  })
})

describe('the queue does not start', () => {
  const failureOn = async (opened: Database, role: 'schedule' | 'work'): Promise<unknown> => {
    const failure = await startQueue(opened, role, silentLogger).then(
      () => null,
      (error: unknown) => error,
    )
    await opened.close()
    return failure
  }

  test.each([
    'schedule',
    'work',
  ] as const)('to %s on a database that was not migrated: SchemaError says what to run', async (role) => {
    const empty = await createTestDatabase(null)
    const failure = await failureOn(open(empty), role)
    expect(failure).toBeInstanceOf(SchemaError)
    expect((failure as Error).message).toContain('sms-retry migrate')
    const schemas = await empty.query(`select 1 from pg_namespace where nspname = 'sms_retry_pgboss'`)
    expect(schemas).toEqual([])
    await empty.drop()
  })

  test('on a database with an older queue, and SchemaError says what to run', async () => {
    const older = await createTestDatabase()
    await older.query('update sms_retry_pgboss.version set version = version - 1')
    const failure = await failureOn(open(older), 'schedule')
    expect(failure).toBeInstanceOf(SchemaError)
    expect((failure as Error).message).toContain('sms-retry migrate')
    await older.drop()
  })

  test('without a database, and throws DatabaseError because migrating would not help', async () => {
    const url = new URL(configOf(own).url)
    url.port = `${CLOSED_PORT}`
    const away = openDatabase({ url: url.toString(), ssl: null, poolMax: 1 }, () => undefined)
    expect(await failureOn(away, 'schedule')).toBeInstanceOf(DatabaseError)
  })
})
