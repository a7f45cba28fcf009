// The check of `doctor` on outcomes: do the running processes agree, is there a receiver, does it take them?
import { expect, test } from '@jest/globals'
import type { Outcome } from '../../src/outcomes/outcome-event.ts'
import { runWorker } from '../../src/processes/worker.ts'
import { closeLater, newWorld } from '../support/world-with.ts'
import type { World } from '../support/world.ts'
import { examine, of } from './examine.ts'

const ON = { OUTCOME_EVENTS: 'true' }

async function startWorker(world: World, onOutcome?: (outcome: Outcome) => unknown): Promise<void> {
  const worker = await runWorker(world.openRuntime(), onOutcome)
  closeLater(() => worker.stop())
}

const whatOf = async (env: Record<string, string>): Promise<string[]> =>
  of(await examine(env), 'outcomes').map(({ result, what }) => `${result}: ${what}`)

test('outcome events that are off everywhere are fine', async () => {
  const world = await newWorld()
  expect(await whatOf(world.env)).toEqual(['ok: Outcome events are off'])
})

test('outcome events that are on everywhere, with a worker that delivers them, are fine', async () => {
  const world = await newWorld({ env: ON })
  await startWorker(world, () => undefined)
  expect(await whatOf(world.env)).toEqual([
    'ok: Outcome events are on in all processes, and a worker delivers them',
  ])
})

test('a worker without a receiver is not enough', async () => {
  const world = await newWorld({ env: ON })
  await startWorker(world)
  expect(await whatOf(world.env)).toEqual([
    'warning: Outcomes are recorded, but no running worker delivers them',
  ])
})

test('a worker that delivers outcomes which no process records is not fine', async () => {
  const world = await newWorld()
  await startWorker(world, () => undefined)
  expect(await whatOf(world.env)).toEqual([
    'warning: A worker delivers outcomes, but no process records them: OUTCOME_EVENTS is not true',
  ])
})

test('running processes that do not record outcomes are named', async () => {
  const world = await newWorld()
  await startWorker(world)
  expect(await whatOf({ ...world.env, ...ON })).toEqual([
    expect.stringMatching(
      /^warning: OUTCOME_EVENTS is true, but not in sender \S+:\d+, web \S+:\d+, worker \S+:\d+: the app is not told/,
    ),
    'warning: Outcomes are recorded, but no running worker delivers them',
  ])
})

test('outcomes that failed all deliveries are counted', async () => {
  const world = await newWorld()
  await world.database.query(
    `insert into sms_retry_pgboss.job (name, data, policy) values ('outcome_failed', '{}', 'standard')`,
  )
  expect(await whatOf(world.env)).toEqual([
    'ok: Outcome events are off',
    'warning: 1 outcome failed all deliveries to the app',
  ])
})
