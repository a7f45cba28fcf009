// The command `policy` with --replay and --advise, on rows in the table. Needs dist/.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RetryPolicyOverrides } from '../../src/delivery/policy-overrides.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Ended, runCli } from './run-cli.ts'

let folder: string
let database: TestDatabase
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'policy-'))
  database = await createTestDatabase()
})
afterAll(async () => {
  await database.drop()
  await rm(folder, { recursive: true })
})

async function policyFile(name: string, policy: RetryPolicyOverrides): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, JSON.stringify(policy))
  return file
}

const run = (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
  runCli(['policy', ...args], { DATABASE_URL: database.url, ...env })

/** Messages that failed with 30004, were retried after 3 and 9 minutes, and failed again or are in progress. */
async function insertFailures(count: number, last = 'undelivered'): Promise<void> {
  const times = (pending: string, submitting: string, undelivered: string): string =>
    JSON.stringify({ pending, submitting, undelivered })
  const attempts = [
    times('2026-06-01T12:00:00.000Z', '2026-06-01T12:00:00.000Z', '2026-06-01T12:00:10.000Z'),
    times('2026-06-01T12:00:10.000Z', '2026-06-01T12:03:20.000Z', '2026-06-01T12:03:30.000Z'),
    times('2026-06-01T12:03:30.000Z', '2026-06-01T12:09:45.000Z', '2026-06-01T12:09:55.000Z'),
  ].map(
    (own, i) =>
      `{"number": ${i}, "status": "${i === 2 ? last : 'undelivered'}", "error_code": 30004, "segments": 2, "times": ${own}}`,
  )
  await database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, success,
                                 retry_count, sms_metadata)
     select 7, '+12065550100', 'outbound', 5, $3, false, 2, $2::jsonb
       from generate_series(1, $1::integer)`,
    [count, `{"attempts": [${attempts.join(', ')}]}`, last],
  )
}

describe('without messages', () => {
  test('--replay says that no message failed', async () => {
    const file = await policyFile('empty.json', {})
    expect(await run(['--replay', file])).toEqual({
      code: 0,
      stdout: 'No message failed in the last 30 d.\n',
      stderr: '',
    })
  })

  test('--advise prints the policy in force, and says that nothing supports a change', async () => {
    const file = await policyFile('in-force.json', { codes: { 30004: 'stop' } })
    const { code, stdout, stderr } = await run(['--advise', '--since', '7d'], { RETRY_POLICY_FILE: file })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({ codes: { 30004: 'stop' } })
    expect(stderr).toMatch(/^The history of the last 7 d supports no change\.$/m)
  })
})

describe('wrong usage exits with 2 and names the flag', () => {
  test.each<[string, readonly string[], RegExp]>([
    ['--out without --advise', ['--out', 'x.json'], /--out is for --advise/],
    ['--since alone', ['--since', '7d'], /--since is for --replay and --advise/],
    ['both', ['--advise', '--replay', 'x.json'], /cannot be used with option '--advise'/],
    ['a file that does not exist', ['--replay', '/none.json'], /\/none\.json cannot be read as JSON: ENOENT/],
  ])('%s', async (_what, args, words) => {
    const { code, stdout, stderr } = await run(args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(words)
  })

  test('a policy file with a fault', async () => {
    const file = await policyFile('faulty.json', { codes: { 30003: { retries: 99, baseDelaySeconds: 1 } } })
    const { code, stderr } = await run(['--replay', file])
    expect(code).toBe(2)
    expect(stderr).toMatch(/codes\.30003\.retries/)
  })
})

describe('with 400 messages that no retry delivered', () => {
  beforeAll(() => insertFailures(400))

  test('--replay prints what happened beside the estimate, by code and in total', async () => {
    const file = await policyFile('fewer.json', { codes: { 30004: { retries: 1, baseDelaySeconds: 180 } } })
    const { code, stdout, stderr } = await run(['--replay', file])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(
      /^CODE +MESSAGES +RETRIES +REPLAYED +SEGMENTS +REPLAYED +RECOVERED +REPLAYED +LOST +REPLAYED +COST OF ONE +REPLAYED +NOT KNOWN/m,
    )
    expect(stdout).toMatch(
      /^30004 +400 +800 +400 +1,600 +800 +0 +0 \(0 to \d+\) +400 +400 \(39\d to 400\) +– +– +– +\S/m,
    )
    expect(stdout).toMatch(/^total +400 +800 +400 /m)
    expect(stdout).toMatch(/^Messages that failed in the last 30 d/m)
  })

  test('--replay --json says for how many messages the history shows nothing', async () => {
    const file = await policyFile('later.json', {
      codes: { 30004: { retries: 1, baseDelaySeconds: 14_400 } },
    })
    const { stdout } = await run(['--replay', file, '--json'])
    const { total } = JSON.parse(stdout) as { total: { replayed: Record<string, unknown> } }
    expect(total.replayed['unknown']).toEqual({ estimate: 400, low: 400, high: 400 })
  })

  test('--advise prints a policy file on stdout, and the reasons on stderr', async () => {
    const { code, stdout, stderr } = await run(['--advise'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({ codes: { 30004: 'stop' } })
    expect(stderr).toMatch(
      /^30004 +stop +3 min, 6 min +stop +0 \(-\d to 0\) +-800 \(-800 to -79\d\) +-1,600 \(/m,
    )
  })

  test('--advise --out writes a policy file that the program accepts, and does not overwrite it', async () => {
    const own = await policyFile('own.json', {
      jitter: 0,
      codes: { 30003: { retries: 1, baseDelaySeconds: 60 } },
    })
    const out = join(folder, 'advised.json')
    const args = ['--advise', '--out', out]
    const { code, stdout } = await run(args, { RETRY_POLICY_FILE: own })
    expect([code, stdout]).toEqual([0, ''])
    expect(JSON.parse(await readFile(out, 'utf8'))).toEqual({
      jitter: 0,
      codes: { 30003: { retries: 1, baseDelaySeconds: 60 }, 30004: 'stop' },
    })
    expect((await runCli(['policy'], { RETRY_POLICY_FILE: out })).stdout).toMatch(/^30004 +stop /m)
    const again = await run(args, { RETRY_POLICY_FILE: own })
    expect(again.code).toBe(1)
    expect(again.stderr).toMatch(/EEXIST/)
  })
})

test('many retries without a final report are named, because only their deliveries may be known', async () => {
  await insertFailures(100, 'sent')
  const file = await policyFile('open.json', {})
  const words = /^100 of 1,000 retries have no final report yet, and are left out\./m
  for (const args of [['--replay', file], ['--advise']]) expect((await run(args)).stderr).toMatch(words)
})

test('the replay of rows that the product wrote agrees with a real run of the other policy', async () => {
  const inForce = { jitter: 0, codes: { 30003: { retries: 2, baseDelaySeconds: 300 } } }
  const other = { jitter: 0, codes: { 30003: { retries: 1, baseDelaySeconds: 300 } } }
  const [history, real] = await Promise.all([runWorld(inForce), runWorld(other)])
  try {
    const env = { ...history.env, RETRY_POLICY_FILE: await policyFile('world-in-force.json', inForce) }
    const file = await policyFile('world-other.json', other)
    const { stdout } = await runCli(['policy', '--replay', file, '--json'], env)
    const { codes } = JSON.parse(stdout) as {
      codes: { code: number; happened: Figures; replayed: Estimates }[]
    }
    const of = (code: number) => codes.find((row) => row.code === code)
    const [row] = await real.database.query<{ recovered: number; retries: number }>(
      `select count(*) filter (where final_status = 'delivered')::int as recovered, sum(retry_count)::int as retries
         from sms_usage_logs where phone_number like '+155530003%'`,
    )
    const { happened, replayed } = of(30003) ?? {}
    expect(happened).toMatchObject({ retried: 60, retries: 96, recovered: 36, lost: 24 })
    expect(row).toEqual({ recovered: 24, retries: 60 })
    expect(replayed?.unknown).toEqual({ estimate: 0, low: 0, high: 0 })
    expect(replayed?.retries).toEqual({ estimate: 60, low: 60, high: 60 })
    expect(replayed?.recovered.low).toBeLessThanOrEqual(24)
    expect(replayed?.recovered.high).toBeGreaterThanOrEqual(24)
    expect(of(30007)?.replayed.lost).toEqual({ estimate: 5, low: 5, high: 5 })
    // Each of these retries has one segment.
    expect(happened?.segmentsPerRecovered).toBeCloseTo(96 / 36, 6)
    expect(replayed?.segmentsPerRecovered?.estimate).toBeCloseTo(60 / 24, 2)
    await history.database.query(
      `update sms_usage_logs
          set sms_metadata = jsonb_set(sms_metadata, '{attempts,0}',
                sms_metadata #> '{attempts,0}' || '{"price": 0.0083, "price_unit": "USD"}')`,
    )
    const priced = await runCli(['policy', '--replay', file], env)
    expect(priced.stdout).toMatch(/^30003 .* 0\.0221 USD +0\.020[78] \(0\.01\d\d to 0\.0\d\d\d\) USD /m)
    expect(priced.stdout).toContain('A segment costs 0.00830 USD on average, by the price of 65 attempts')
  } finally {
    await Promise.all([history.stop(), real.stop()])
  }
})

type Figures = Record<
  'retried' | 'retries' | 'recovered' | 'lost' | 'unknown' | 'segmentsPerRecovered',
  number
>
type Estimates = Record<keyof Figures, { estimate: number; low: number; high: number }>

/** One, two or nine attempts fail; 30007 is never retried. Delays are a fiftieth. */
async function runWorld(retryPolicy: RetryPolicyOverrides): Promise<World> {
  const world = await startWorld({ retryPolicy, env: { RETRY_DELAY_SCALE: '0.02' } })
  const numbers = [
    ...Array.from({ length: 24 }, () => '+15553000301'),
    ...Array.from({ length: 12 }, () => '+15553000302'),
    ...Array.from({ length: 24 }, () => '+15553000309'),
    ...Array.from({ length: 5 }, () => '+15553000709'),
  ]
  await world.startWorker()
  await Promise.all(numbers.map((to) => world.sender.send({ userId: 7, to, body: 'Hello' })))
  await waitFor('all messages to be final', async () => {
    const [row] = await world.database.query<{ left: number }>(
      `select count(*)::int as left from sms_usage_logs where final_status not in ('delivered', 'undelivered', 'failed')`,
    )
    return row?.left === 0
  })
  return world
}
