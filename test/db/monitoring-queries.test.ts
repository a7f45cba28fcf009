// Tests the two documented SQL queries for monitoring: the share of successful retries, and request times by number of
// retries. The expected results come from the simulator's script and the log.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createRetryPolicy, ruleFor } from '../../src/delivery/retry-policy.ts'
import { isFinal } from '../../src/delivery/status.ts'
import { scriptedOutcome } from '../../src/simulator/number-script.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'

const SHARE_OF_RETRIED_THAT_SUCCEEDED = `
  select count(*)::int as "retried", (count(*) filter (where success))::int as "succeeded",
         round(avg(success::int), 4)::float8 as "share"
    from sms_usage_logs
   where retry_count > 0`

const COUNT_AND_MEAN_TIME_BY_RETRIES = `
  select retry_count as "retries", count(*)::int as "messages", avg(processing_time_ms)::float8 as "meanMs"
    from sms_usage_logs
   group by retry_count
   order by retry_count`

const RECIPIENTS = [
  ...['+12065550101', '+12065550102', '+12065550103'],
  // Fails once, twice, three times, then delivers; or fails more often than its code is retried.
  ...['+15553000301', '+15553000301', '+15553000302', '+15553000303', '+15553000309'],
  ...['+15553000101', '+15553000103', '+15553000104', '+15553000401', '+15553000403'],
  // Refused by the API, or filtered: never retried.
  ...['+15552161001', '+15552121109', '+15553000701', '+15553000801'],
  // A code that the table does not have.
  ...['+15551234502', '+15551234503'],
]

/** The expected outcome for this number, from the simulator's script and the policy only. */
function truthOf(to: string): { retries: number; succeeded: boolean } {
  const policy = createRetryPolicy()
  for (let attempt = 0; ; attempt += 1) {
    const outcome = scriptedOutcome(to, { attempt, earlierPosts: attempt })
    if (outcome.kind === 'delivered') return { retries: attempt, succeeded: true }
    const rule = ruleFor(policy, outcome.code)
    if (rule.action !== 'retry' || attempt >= rule.retries) return { retries: attempt, succeeded: false }
  }
}

let world: World

beforeAll(async () => {
  world = await startWorld()
  await world.startWorker()
  for (const to of RECIPIENTS) await world.sender.send({ userId: 1, to, body: 'Hello' })
  await waitFor('every message to be final', async () => {
    const rows = await world.database.query<{ status: Parameters<typeof isFinal>[0] }>(
      'select final_status as "status" from sms_usage_logs',
    )
    return rows.length === RECIPIENTS.length && rows.every(({ status }) => isFinal(status))
  })
})

afterAll(() => world.stop())

test('the script has both outcomes for every number of retries, so that the queries can fail', () => {
  const truths = RECIPIENTS.map(truthOf).map(({ retries, succeeded }) => `${retries} ${succeeded}`)
  expect([...new Set(truths)].toSorted()).toEqual([
    '0 false',
    '0 true',
    '1 true',
    '2 false',
    '2 true',
    '3 false',
    '3 true',
  ])
})

test('the query for the share of successful retries is correct', async () => {
  const retried = RECIPIENTS.map(truthOf).filter(({ retries }) => retries > 0)
  const succeeded = retried.filter((truth) => truth.succeeded).length
  expect(await world.database.query(SHARE_OF_RETRIED_THAT_SUCCEEDED)).toEqual([
    { retried: retried.length, succeeded, share: Number((succeeded / retried.length).toFixed(4)) },
  ])
})

test('the query for counts and mean request times by number of retries is correct', async () => {
  // The log has the duration of each attempt; the row has only the latest.
  const latestMs = new Map<number, number>()
  for (const { message, fields } of world.log) {
    if (message !== 'Attempt submitted') continue
    latestMs.set(Number(fields['messageId']), Number(fields['processingTimeMs']))
  }
  expect(latestMs.size).toBe(RECIPIENTS.length)
  const expected = [...new Set(RECIPIENTS.map((to) => truthOf(to).retries))].toSorted().map((retries) => {
    // Ids follow the order of sending.
    const times = RECIPIENTS.flatMap((to, i) =>
      truthOf(to).retries === retries ? [latestMs.get(i + 1)] : [],
    )
    const sum = times.reduce<number>((total, ms) => total + (ms ?? Number.NaN), 0)
    return { retries, messages: times.length, meanMs: expect.closeTo(sum / times.length, 6) }
  })
  expect(await world.database.query(COUNT_AND_MEAN_TIME_BY_RETRIES)).toEqual(expected)
})
