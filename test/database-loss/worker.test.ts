// A worker whose database is lost: due attempts, old and new, are made once each as soon as it is back, sweeps go on,
// and the log is not flooded. An unhandled rejection or exception would fail the test that runs then.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts'
import type { Runtime } from '../../src/processes/runtime.ts'
import { runWorker } from '../../src/processes/worker.ts'
import { waitFor } from '../support/wait-for.ts'
import type { LogLine, World } from '../support/world.ts'
import { closeLater, message, newWorld, rowsOf } from '../support/world-with.ts'
import {
  endConnections,
  expectSubmissions,
  type Lossy,
  linesWith,
  lossy,
  submissions,
  useOwnServer,
} from './lossy-world.ts'

let server: EmbeddedPostgres

beforeAll(async () => {
  server = await useOwnServer()
})

afterAll(() => server.stop())

type Loss = (world: World, lossyWorld: Lossy) => Promise<void>

const losses: [string, Loss][] = [
  [
    'its connections are ended again and again for two seconds',
    async (world) => {
      const endMs = performance.now() + 2_000
      while (performance.now() < endMs) await endConnections(world)
    },
  ],
  ['PostgreSQL is restarted in good order', () => server.restart('shutdown')],
  ['PostgreSQL crashes', () => server.restart('crash')],
  [
    'it is away for five seconds',
    async (_world, { proxy }) => {
      await proxy.set('away')
      await sleep(5_000)
      await proxy.set('there')
    },
  ],
  [
    'it is silent for five seconds, and then everything that hung is cut',
    async (_world, { proxy }) => {
      await proxy.set('silent')
      await sleep(5_000)
      await proxy.set('away')
      await proxy.set('there')
    },
  ],
]

/** The first attempt fails with 30003 by callback; the retry is due three seconds later, and delivers. */
const FAILS_ONCE = '+15553000301'

async function statuses(world: World): Promise<Set<string>> {
  return new Set((await rowsOf(world)).map((row) => row.final_status))
}

/** Row and job of each text in one transaction of the app's own, for the worker to submit. */
async function enqueue(world: World, bodies: string[], statement = 'select 1'): Promise<void> {
  const client = new pg.Client({ connectionString: world.database.url })
  await client.connect()
  await client.query('begin')
  for (const body of bodies) await world.sender.enqueue(message({ body }), { db: client })
  await client.query(statement)
  await client.query('commit')
  await client.end()
}

describe('the database is lost', () => {
  test.each(losses)('%s: every attempt is made once, and sweeps go on', async (_what, lose) => {
    // A batch is half of the concurrency: what is enqueued takes two.
    const world = await newWorld({ env: { RETRY_DELAY_SCALE: '0.01', SEND_CONCURRENCY: '20' } })
    const lossyWorld = await lossy(world)
    await lossyWorld.startWorker()
    const old = Array.from({ length: 5 }, (_, i) => `fails once ${i}`)
    for (const body of old) await world.sender.send(message({ to: FAILS_ONCE, body }))
    await waitFor('the failures', async () => (await statuses(world)).has('retrying'))

    const enqueued = Array.from({ length: 20 }, (_, i) => `enqueued ${i}`)
    await enqueue(world, enqueued)
    await lose(world, lossyWorld)
    await enqueue(world, ['new'])
    // Nobody is told of this one: only a sweep can find it.
    await enqueue(world, ['without a job'], `delete from sms_retry_pgboss.job where state = 'created'`)

    const isOver = async (): Promise<boolean> =>
      (await rowsOf(world)).every(({ final_status }) => final_status === 'delivered')
    await waitFor('every message to be delivered', isOver)
    expect(await rowsOf(world)).toHaveLength(27)
    const once = Object.fromEntries([...enqueued, 'new', 'without a job'].map((body) => [body, 1]))
    const twice = Object.fromEntries(old.map((body) => [body, 2]))
    expectSubmissions(world, { ...once, ...twice })
  })
})

/** Begins what the database or its pool cannot cope with; ends it when the function that is returned is called. */
type Strain = (world: World, runtime: Runtime) => Promise<() => Promise<unknown>>

const POOL_SIZE = 2

/** Something else in the worker's process keeps every connection of its pool. */
const exhaustPool: Strain = async (_world, { database }) => {
  const { promise: isReleased, resolve: release } = Promise.withResolvers<void>()
  const taken = Array.from({ length: POOL_SIZE }, () => Promise.withResolvers<void>())
  const holding = taken.map(({ resolve }) =>
    database.transaction(async (tx) => {
      resolve()
      // At work all the time: the server ends a transaction in which nothing happens for ten seconds.
      for (let isOver = false; !isOver; ) {
        await tx.executeSql('select 1')
        isOver = await Promise.race([isReleased.then(() => true), sleep(1_000, false)])
      }
    }),
  )
  await Promise.all(taken.map(({ promise }) => promise))
  return () => {
    release()
    return Promise.all(holding)
  }
}

/** The app holds the whole table, for longer than a statement may take; it can be read meanwhile. */
const letStatementsTimeOut: Strain = async ({ database }) => {
  const holder = new pg.Client({ connectionString: database.url, statement_timeout: 0 })
  await holder.connect()
  await holder.query('begin')
  await holder.query('lock table sms_usage_logs in exclusive mode')
  let isHeld = true
  return async () => {
    if (isHeld) await holder.end()
    isHeld = false
  }
}

describe('the database is there, and does not do what it is asked for', () => {
  test.each([
    ['the pool is exhausted', exhaustPool, /The job queue failed/],
    ['statements time out', letStatementsTimeOut, /canceling statement due to statement timeout/],
  ])('%s: due attempts and sweeps go on once that is over, and every attempt is made once', async (_what, strain, complaint) => {
    const world = await newWorld({
      env: { RETRY_DELAY_SCALE: '0.01', DATABASE_POOL_MAX: `${POOL_SIZE}` },
    })
    const name = new URL(world.database.url).pathname.slice(1)
    await world.database.query(`alter database ${name} set statement_timeout = '400ms'`)
    const { log, openRuntime } = await lossy(world)
    const runtime = openRuntime()
    const worker = await runWorker(runtime)
    closeLater(() => worker.stop())
    const old = Array.from({ length: 10 }, (_, i) => `fails once ${i}`)
    await Promise.all(old.map((body) => world.sender.send(message({ to: FAILS_ONCE, body }))))
    await waitFor('the failures', async () => [...(await statuses(world))].join() === 'retrying')
    await enqueue(world, ['without a job'], `delete from sms_retry_pgboss.job where state = 'created'`)
    const release = await strain(world, runtime)
    closeLater(release)
    const isComplaint = (line: LogLine): boolean =>
      ['error', 'warn'].includes(line.level) && complaint.test(JSON.stringify(line))
    await waitFor('a complaint', () => log.some(isComplaint))
    // By then the retries are due, and the message without a job is overdue.
    await sleep(6_000)
    expect(submissions(world)).toEqual(Object.fromEntries(old.map((body) => [body, 1])))
    await release()
    await enqueue(world, ['new'])

    const isOver = async (): Promise<boolean> => [...(await statuses(world))].join() === 'delivered'
    await waitFor('every message to be delivered', isOver)
    const twice = Object.fromEntries(old.map((body) => [body, 2]))
    expectSubmissions(world, { 'without a job': 1, new: 1, ...twice })
  })
})

describe('an outage of ten seconds', () => {
  test('is logged, not once a poll, and what comes after it is made', async () => {
    const world = await newWorld()
    const lossyWorld = await lossy(world)
    await lossyWorld.startWorker()
    await enqueue(world, ['before'])
    await waitFor('delivery', async () => (await statuses(world)).has('delivered'))
    const before = lossyWorld.log.length

    await lossyWorld.proxy.set('away')
    await sleep(10_000)
    await lossyWorld.proxy.set('there')
    await enqueue(world, ['after'])
    await waitFor('delivery', async () => {
      const rows = await rowsOf(world)
      return rows.every(({ final_status }) => final_status === 'delivered')
    })
    const problems = linesWith(lossyWorld.log, 'The job queue failed')
    expect(problems).toMatchObject([{ level: 'error' }])
    const loud = lossyWorld.log.slice(before).filter(({ level }) => level === 'warn' || level === 'error')
    // Beside it, one for each connection that broke.
    expect(loud.length).toBeLessThanOrEqual(10)
    expectSubmissions(world, { before: 1, after: 1 })
  })
})

test('a worker that is told to stop while the database is away ends, and loses nothing', async () => {
  const world = await newWorld()
  const lossyWorld = await lossy(world)
  const worker = await lossyWorld.startWorker()
  await lossyWorld.proxy.set('away')
  await enqueue(world, ['while it is away'])
  await worker.stop()
  await lossyWorld.proxy.set('there')
  expectSubmissions(world, {})
  await lossyWorld.startWorker()
  await waitFor('delivery', async () => (await statuses(world)).has('delivered'))
  expectSubmissions(world, { 'while it is away': 1 })
})
