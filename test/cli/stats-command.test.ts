// The command `stats`: its output for people and as JSON. How messages are counted is tested in
// test/db/overview.test.ts. Needs dist/.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startWorld, type World } from '../support/world.ts'
import { type Ended, runCli, runCliProcess, WORKING_NUMBER } from './run-cli.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
  const numbers = [WORKING_NUMBER, WORKING_NUMBER, '+15552161001', '+15552161199']
  for (const to of numbers) await world.sender.send({ userId: 7, to, body: 'Hello' })
  const { id } = await world.sender.send({ userId: 7, to: WORKING_NUMBER, body: 'Hello' })
  await world.simulator.idle()
  await world.database.query(
    `update sms_usage_logs set created_at = created_at - interval '2 days' where id = $1`,
    [id],
  )
})
afterAll(() => world.stop())

const stats = (...flags: string[]): Promise<Ended> => runCli(['stats', ...flags], world.env)

test('counts the last 24 hours by default, with targets and error codes', async () => {
  const { code, stdout, stderr } = await runCliProcess(['stats'], world.env)
  expect([code, stderr]).toEqual([0, ''])
  for (const line of [
    /^The last 1 d +MESSAGES +SHARE$/m,
    /^Messages +4$/m,
    /^Delivered at first try +2 +50\.0 %$/m,
    /^Failed for good +1 +25\.0 %$/m,
    /^ {2}waiting for a retry +1 +25\.0 %$/m,
    /^delivered +66\.7 % +> 99 % +messages/m,
    /^21610 +1 +1 +0 % +– +\S/m,
  ])
    expect(stdout).toMatch(line)
})

test('--json prints the counts with fixed keys', async () => {
  const { code, stdout, stderr } = await stats('--json', '--since', '3d')
  expect([code, stderr]).toEqual([0, ''])
  expect(JSON.parse(stdout)).toEqual({
    sinceSeconds: 3 * 86_400,
    messages: 5,
    deliveredAtFirst: 3,
    deliveredByRetry: 0,
    failed: 1,
    failedAfterRetry: 0,
    canceled: 0,
    retrying: 1,
    inFlight: 1,
    retried: 1,
    retries: 1,
    targets: [
      { name: 'delivered', wanted: { above: 0.99 }, value: 0.75, isMet: false },
      { name: 'retry success', wanted: { above: 0.8 }, value: null, isMet: null },
      { name: 'average retries', wanted: { below: 1.5 }, value: 1, isMet: true },
    ],
    segmentPrice: null,
    failures: {
      isComplete: true,
      codes: expect.arrayContaining([
        {
          ...{ code: 21610, attempts: 1, messages: 1, recovered: 0, retries: [] },
          cost: { retries: 0, segments: 0, segmentsUnknown: 0, segmentsPerRecovered: null },
          reason: expect.any(String),
        },
      ]),
    },
  })
})

test('an invalid --since exits with 2', async () => {
  for (const since of ['7', '0d', 'week', '1.5h', '123456d']) {
    const { code, stdout, stderr } = await stats('--since', since)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('30m, 24h or 7d')
  }
})
