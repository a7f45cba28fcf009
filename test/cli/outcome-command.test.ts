// The command `outcomes`: what it lists, and that it has failed outcomes delivered again. Needs dist/.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Ended, runCli, WORKING_NUMBER } from './run-cli.ts'

let world: World
beforeAll(async () => {
  // No worker delivers outcomes.
  world = await startWorld({ env: { OUTCOME_EVENTS: 'true' } })
})
afterAll(() => world.stop())

const run = (...args: string[]): Promise<Ended> => runCli(['outcomes', ...args], world.env)

async function waitingJobs(): Promise<{ id: string; retry_count: number }[]> {
  return world.database.query(
    `select id, retry_count from sms_retry_pgboss.job where name = 'outcome' and state in ('created', 'retry')`,
  )
}

test('says so if no outcome waits', async () => {
  expect(await run()).toEqual({
    code: 0,
    stdout: '',
    stderr: 'No outcomes wait for a delivery to the app.\n',
  })
  expect(await run('--failed', '--json')).toEqual({
    code: 0,
    stdout: '[]\n',
    stderr: 'No outcomes failed all deliveries.\n',
  })
})

test('lists the outcomes that wait, and at most as many as --limit says', async () => {
  const { id } = await world.sender.send({ userId: 7, to: WORKING_NUMBER, body: 'Hello' })
  await waitFor('the outcome', async () => (await waitingJobs()).length === 1)
  const { code, stdout, stderr } = await run()
  expect({ code, stderr }).toEqual({ code: 0, stderr: '1 outcome waits for a delivery to the app.\n' })
  expect(stdout).toMatch(new RegExp(`\\n\\S+ \\S+ +${id} +message.delivered +0 `))
  await world.sender.send({ userId: 7, to: WORKING_NUMBER, body: 'Hello' })
  await waitFor('the second outcome', async () => (await waitingJobs()).length === 2)
  expect((await run('--limit', '1')).stderr).toBe('More than 1 outcomes wait for a delivery to the app.\n')
})

test('lists failed outcomes and delivers them again, with their ids and all repetitions', async () => {
  const [job] = await waitingJobs()
  await world.database.query(
    `with failed as (delete from sms_retry_pgboss.job where id = $1 returning *)
     insert into sms_retry_pgboss.job (name, data, policy, source_name, source_retry_count, source_output)
     select 'outcome_failed', data, policy, name, 10, '{"message": "webhook: answered 500"}' from failed`,
    [job?.id],
  )
  const { stdout, stderr } = await run('--failed')
  expect(stdout).toMatch(/ 11 +webhook: answered 500\n$/)
  expect(stderr).toMatch(/^1 outcome failed all deliveries\. .*sms-retry outcomes --redeliver\n$/)
  expect(JSON.parse((await run('--failed', '--json')).stdout)).toMatchObject([
    { id: job?.id, type: 'message.delivered', failures: 11, failure: 'webhook: answered 500', nextAt: null },
  ])
  expect(await run('--redeliver')).toMatchObject({ code: 0, stdout: '1 outcome is delivered again\n' })
  expect(await waitingJobs()).toHaveLength(2)
  expect(await run('--redeliver', '--json')).toMatchObject({ code: 0, stdout: '{\n  "redelivered": 0\n}\n' })
})

test('listing and delivering again are two commands', async () => {
  expect((await run('--failed', '--redeliver')).code).toBe(2)
})
