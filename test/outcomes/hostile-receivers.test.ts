// Receivers that fail in unusual ways: each failure concerns its own outcome only, and every receiver gets it once.
import { expect, test } from '@jest/globals'
import type { Outcome } from '../../src/outcomes/outcome-event.ts'
import { runWorker } from '../../src/processes/worker.ts'
import { waitFor } from '../support/wait-for.ts'
import type { World } from '../support/world.ts'
import { closeLater, message, newWorld } from '../support/world-with.ts'

const ON = { OUTCOME_EVENTS: 'true' }
/** Nobody listens on this port. */
const WITH_WEBHOOK = {
  ...ON,
  OUTCOME_WEBHOOK_URL: 'http://127.0.0.1:1/',
  OUTCOME_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 1).toString('base64')}`,
}

interface StoredJob {
  readonly message: number
  readonly state: string
  readonly failure: string | null
}

const jobsOf = ({ database }: World): Promise<StoredJob[]> =>
  database.query<StoredJob>(
    `select (data ->> 'message')::integer as "message", state::text, output ->> 'message' as "failure"
       from sms_retry_pgboss.job where name = 'outcome'`,
  )

const nullObject: unknown = Object.create(null)
const oddMessage: unknown = Object.assign(new Error('x'), { message: 42 })
const throwing: unknown = Object.defineProperty(new Error('x'), 'message', {
  get() {
    throw new Error('no')
  },
})

test.each<[string, unknown, RegExp]>([
  ['undefined', undefined, /^handler: rejected without an error$/],
  ['an object that has no text', nullObject, /^handler: failed with a value that has no text$/],
  ['an error whose message is a number', oddMessage, /^handler: Error: 42$/],
  ['an error whose message cannot be read', throwing, /^handler: failed with a value that has no text$/],
  ['a text with a zero byte', new Error('a\0b'), /^handler: a b$/],
  ['a text whose limit splits an emoji', new Error(`${'x'.repeat(499)}😀`), /^handler: x{499}\uFFFD$/],
])('a handler that fails with %s fails its own outcome only', async (_name, failure, stored) => {
  const world = await newWorld({ env: ON })
  await world.startWorker()
  const good = await world.sender.send(message())
  const bad = await world.sender.send(message())
  await waitFor('two outcomes', async () => (await jobsOf(world)).length === 2)
  const calls: number[] = []
  const worker = await runWorker(world.openRuntime(), ({ messageId }: Outcome) => {
    calls.push(messageId)
    if (messageId === bad.id) throw failure
  })
  closeLater(() => worker.stop())
  await waitFor('both outcomes to end', async () =>
    (await jobsOf(world)).every(({ state }) => state === 'completed' || state === 'retry'),
  )
  const jobs = await jobsOf(world)
  expect(jobs.find((job) => job.message === good.id)).toMatchObject({ state: 'completed' })
  expect(jobs.find((job) => job.message === bad.id)).toMatchObject({
    state: 'retry',
    failure: expect.stringMatching(stored),
  })
  expect(calls.toSorted()).toEqual([good.id, bad.id])
})

test('a receiver that has the outcome is not called again after the row could not be read', async () => {
  const calls: string[] = []
  const world = await newWorld({ env: WITH_WEBHOOK })
  const { database } = world
  const worker = await runWorker(world.openRuntime(), ({ id }: Outcome) => calls.push(id))
  closeLater(() => worker.stop())
  await world.sender.send(message())
  const inState = async (retries: number): Promise<boolean> =>
    (
      await database.query(
        `select from sms_retry_pgboss.job where name = 'outcome' and state = 'retry' and retry_count = $1`,
        [retries],
      )
    ).length === 1
  const endPause = (): Promise<unknown> =>
    database.query(`update sms_retry_pgboss.job set start_after = now() where name = 'outcome'`)
  await waitFor('the webhook to fail', () => inState(0))
  await database.query('alter table sms_usage_logs rename to away')
  await endPause()
  await waitFor('the row to be missed', () => inState(1))
  await database.query('alter table away rename to sms_usage_logs')
  await endPause()
  await waitFor('the webhook to fail again', () => inState(2))
  expect(calls).toHaveLength(1)
})
