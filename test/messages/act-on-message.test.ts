// What a person asks for, on real rows and jobs: done once, however often it is asked for at the same time.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type ActionResult, type Action, actOnMessage } from '../../src/messages/act-on-message.ts'
import { findMessage } from '../../src/db/messages.ts'
import type { RecordDeps } from '../../src/recording/record-events.ts'
import type { Runtime } from '../../src/processes/runtime.ts'
import { type Queue, startQueue } from '../../src/jobs/queue.ts'
import { jobs } from '../http/endpoint.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobIdOf } from '../support/job-id.ts'
import { startWorld, type World } from '../support/world.ts'

let world: World
let runtime: Runtime
let queue: Queue
let deps: RecordDeps & Pick<Runtime, 'logger'>

beforeAll(async () => {
  world = await startWorld({ env: { RETRY_DELAY_SCALE: '1' } })
  runtime = world.openRuntime()
  const { database, policy, logger, metrics } = runtime
  queue = await startQueue(database, 'schedule', logger)
  deps = { database, queue, policy, logger, metrics, random: () => 0 }
})

afterAll(async () => {
  await queue.stop(1_000)
  await runtime.database.close()
  await world.stop()
})

/** Refused by the API, as often as the number's last digits say. */
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

/** As a page or a command has read it before. */
async function act(id: number, action: Action): Promise<ActionResult> {
  const found = await findMessage(deps.database, id)
  return actOnMessage(deps, found ?? { id, key: null, to: '+12065550100' }, action)
}

const retry = (force = false) => ({ kind: 'retry', seen: null, force }) as const

test('retry now, ten times at once: one attempt with one job, beyond the limit, and the rest of the row stays', async () => {
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

test('a retry that waits is brought forward: its old job goes, and a worker makes it once', async () => {
  const id = await send('+15552161101')
  expect(await rowOf(id)).toMatchObject({ status: 'retrying', retryCount: 1, isDue: false })
  expect((await act(id, retry())).outcome).toBe('done')
  expect(await rowOf(id)).toMatchObject({ status: 'retrying', retryCount: 1, maxRetries: 3, isDue: true })
  expect(await jobsOf(id)).toEqual([1])
})

test('cancel, ten times at once: canceled once, and its job is gone; retry brings it back', async () => {
  const id = await send('+15552161101')
  const acted = await Promise.all(Array.from({ length: 10 }, () => act(id, { kind: 'cancel' })))
  expect(outcomes(acted)).toEqual(['done', ...Array<string>(9).fill('nothing_to_do')])
  expect(await rowOf(id)).toMatchObject({ status: 'canceled', retryCount: 0 })
  expect(await jobsOf(id)).toEqual([])
  expect((await act(id, retry())).outcome).toBe('done')
  expect(await jobsOf(id)).toEqual([1])
})

test('a retry whose first job has rung, put off and then called off, has an alarm again', async () => {
  const id = await send('+15552161101')
  // As a worker leaves it: the first alarm is done, the attempt was put off.
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

test('a message that is not there is told as such', async () => {
  expect(await act(2_000_000_000, retry())).toEqual({ outcome: 'unknown_message' })
})

test('what was brought forward and forced is made by a worker, and delivered', async () => {
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
