// Tests manual retries and cancels on real rows and jobs: each is done once, even if it is requested several times at once.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type ActionResult, type Action, actOnMessage } from '../../src/messages/act-on-message.ts'
import { findMessage } from '../../src/db/messages.ts'
import type { RecordDeps } from '../../src/recording/record-events.ts'
import type { Runtime } from '../../src/processes/runtime.ts'
import { type Queue, startQueue } from '../../src/jobs/queue.ts'
import { jobs } from '../http/endpoint.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobIdOf } from '../support/job-id.ts'
import { DEFAULT_POOL, startWorld, type World } from '../support/world.ts'

let world: World
let runtime: Runtime
let queue: Queue
let deps: RecordDeps & Pick<Runtime, 'logger'>

beforeAll(async () => {
  world = await startWorld({ env: { RETRY_DELAY_SCALE: '1', ...DEFAULT_POOL } })
  runtime = world.openRuntime()
  const { database, policy, logger, metrics } = runtime
  queue = await startQueue(database, 'schedule', logger)
  deps = { database, queue, policy, circumstances: UNRESTRICTED, logger, metrics, random: () => 0 }
})

afterAll(async () => {
  await queue.stop(1_000)
  await runtime.database.close()
  await world.stop()
})

/** The API refuses it as often as the last digits of the number say. */
async function send(to: string): Promise<number> {
  return (await world.sender.send({ userId: 1, to, body: 'Hello' })).id
}

async function rowOf(id: number): Promise<Record<string, unknown> | undefined> {
  const [row] = await world.database.query(
    `select final_status as "status", retry_count as "retryCount", max_retries as "maxRetries",
            next_retry_at <= now() as "isDue", sms_metadata ->> 'mine' as "mine"
       from sms_usage_logs where id = $1`,
    [id],
  )
  return row
}

const jobsOf = async (id: number): Promise<number[]> =>
  (await jobs(world.database)).flatMap(({ data }) => (data.message === id ? [data.attempt] : []))

const outcomes = (acted: readonly ActionResult[]): string[] => acted.map(({ outcome }) => outcome).toSorted()

/** The message as a page or a command read it before. */
async function act(id: number, action: Action): Promise<ActionResult> {
  const found = await findMessage(deps.database, id)
  return actOnMessage(deps, found ?? { id, key: null, to: '+12065550100' }, action)
}

const retry = (force = false) => ({ kind: 'retry', seen: null, force }) as const

test('ten manual retries at once make one attempt with one job, even beyond the limit', async () => {
  const id = await send('+15552161001')
  await world.database.query(
    `update sms_usage_logs set max_retries = 0, sms_metadata = sms_metadata || '{"mine": "kept"}' where id = $1`,
    [id],
  )
  expect(await rowOf(id)).toMatchObject({ status: 'failed', retryCount: 0 })
  const acted = await Promise.all(
    Array.from({ length: 10 }, () => act(id, { ...retry(true), seen: { status: 'failed', retryCount: 0 } })),
  )
  expect(outcomes(acted)).toEqual(['done', ...Array<string>(9).fill('nothing_to_do')])
  expect(await rowOf(id)).toEqual({
    status: 'retrying',
    retryCount: 1,
    maxRetries: 1,
    isDue: true,
    mine: 'kept',
  })
  expect(await jobsOf(id)).toEqual([1])
})

test('a manual retry of a waiting message replaces its job, and a worker makes it once', async () => {
  const id = await send('+15552161101')
  expect(await rowOf(id)).toMatchObject({ status: 'retrying', retryCount: 1, isDue: false })
  expect((await act(id, retry())).outcome).toBe('done')
  expect(await rowOf(id)).toMatchObject({ status: 'retrying', retryCount: 1, maxRetries: 3, isDue: true })
  expect(await jobsOf(id)).toEqual([1])
})

test('ten cancels at once cancel a message once and remove its job, and a manual retry restores it', async () => {
  const id = await send('+15552161101')
  const acted = await Promise.all(Array.from({ length: 10 }, () => act(id, { kind: 'cancel' })))
  expect(outcomes(acted)).toEqual(['done', ...Array<string>(9).fill('nothing_to_do')])
  expect(await rowOf(id)).toMatchObject({ status: 'canceled', retryCount: 0 })
  expect(await jobsOf(id)).toEqual([])
  expect((await act(id, retry())).outcome).toBe('done')
  expect(await jobsOf(id)).toEqual([1])
})

test('a manual retry of a postponed and canceled attempt gets a job', async () => {
  const id = await send('+15552161101')
  // As after a worker: the first job is completed, and the attempt is postponed.
  await world.database.query(
    `update sms_retry_pgboss.job set state = 'completed', completed_on = now() where (data ->> 'message')::int = $1`,
    [id],
  )
  await act(id, { kind: 'cancel' })
  await world.database.query(
    `insert into sms_retry_pgboss.job (id, name, data, state, completed_on)
     select $2::uuid, 'attempt', jsonb_build_object('message', $1::int, 'attempt', 1), 'completed', now()
      where not exists (select from sms_retry_pgboss.job where (data ->> 'message')::int = $1)`,
    [id, await jobIdOf(world.database, id, { attempt: 1, postponements: 0 })],
  )
  expect((await act(id, retry())).outcome).toBe('done')
  const states = await world.database.query<{ state: string }>(
    `select state::text as "state" from sms_retry_pgboss.job where (data ->> 'message')::int = $1`,
    [id],
  )
  expect(states).toEqual([{ state: 'created' }])
})

test('a message that does not exist is reported as unknown', async () => {
  expect(await act(2_000_000_000, retry())).toEqual({ outcome: 'unknown_message' })
})

test('a forced retry and an early retry are made by a worker and delivered', async () => {
  await world.startWorker()
  await waitFor('all messages to be delivered', async () => {
    const rows = await world.database.query<{ status: string }>(
      'select final_status as "status" from sms_usage_logs',
    )
    return rows.length > 0 && rows.every(({ status }) => status === 'delivered')
  })
  expect(world.simulator.doubleSubmissions()).toEqual([])
  expect(world.log.filter(({ message }) => message === 'Manual action done').length).toBeGreaterThanOrEqual(4)
})
