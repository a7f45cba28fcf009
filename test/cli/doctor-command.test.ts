// The command `doctor`: its output for people and as JSON, and its exit code. What each check finds is
// tested in test/doctor. Needs dist/.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { fileURLToPath } from 'node:url'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Ended, runCli, runCliProcess } from './run-cli.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const doctor = (flags: readonly string[] = [], env: Record<string, string> = {}): Promise<Ended> =>
  runCli(['doctor', ...flags], { ...world.env, ...env })

interface FindingJson {
  readonly name: string
  readonly result: string
  readonly what: string
  readonly mend: string | null
}

const findings = ({ stdout }: Ended): FindingJson[] => JSON.parse(stdout) as FindingJson[]

test('exits with 0 if there are only warnings, and prints a fix for each', async () => {
  const { code, stdout, stderr } = await runCliProcess(['doctor'], world.env)
  expect([code, stderr]).toEqual([0, '2 warnings.\n'])
  expect(stdout).toMatch(/^warning {2}configuration {2}TWILIO_API_BASE_URL is set.*\n +-> Leave it unset/m)
  expect(stdout).toMatch(/^warning {2}worker +No worker is running.*\n +-> Start one/m)
  expect(stdout).toMatch(/^ok {7}signature +TWILIO_AUTH_TOKEN: the endpoint accepts a callback/m)
})

test('--json prints the checks in a fixed order with fixed keys', async () => {
  const ended = await doctor(['--json'])
  expect([ended.code, ended.stderr]).toEqual([0, ''])
  expect(findings(ended).map(({ name }) => name)).toEqual([
    ...[
      'configuration',
      'database',
      'server',
      'settings',
      'tls',
      'clock',
      'migrations',
      'table',
      'indexes',
      'queue',
    ],
    ...['sending', 'backlog', 'worker', 'outcomes', 'account', 'api-key', 'endpoint', 'signature'],
  ])
  for (const finding of findings(ended)) {
    expect(finding).toEqual({
      name: expect.any(String),
      result: expect.stringMatching(/^(ok|warning)$/),
      what: expect.stringMatching(/\S/),
      mend: finding.result === 'ok' ? null : expect.stringMatching(/\S/),
    })
  }
})

test('exits with 1 if a check fails, also with --json, and prints no secrets', async () => {
  const env = {
    DATABASE_URL: `postgres://app:hunter2@127.0.0.1:${CLOSED_PORT}/app`,
    TWILIO_AUTH_TOKEN: 'c'.repeat(32),
  }
  const [forPeople, asJson] = [await doctor([], env), await doctor(['--json'], env)]
  expect([forPeople.code, asJson.code]).toEqual([1, 1])
  expect(forPeople.stderr).toBe('3 failed, 1 warning.\n')
  const failed = findings(asJson).filter(({ result }) => result === 'failed')
  expect(failed.map(({ name }) => name)).toEqual(['database', 'account', 'signature'])
  for (const { stdout, stderr } of [forPeople, asJson]) {
    expect(stdout + stderr).not.toMatch(/hunter2|c{32}/)
  }
})

test('an incomplete configuration is a finding and exits with 1, not 2', async () => {
  const { code, stdout } = await runCli(['doctor'], {})
  expect(code).toBe(1)
  for (const name of ['DATABASE_URL', 'PUBLIC_BASE_URL', 'TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN']) {
    expect(stdout).toMatch(new RegExp(`^failed +configuration +${name} is required`, 'm'))
  }
})

test.each([['0'], ['61'], ['soon']])('--timeout %s exits with 2', async (timeout) => {
  expect(await doctor(['--timeout', timeout])).toMatchObject({ code: 2, stdout: '' })
})

test('reports a clock that differs from the clock of the database', async () => {
  const shiftedClock = fileURLToPath(new URL('../support/shifted-clock.ts', import.meta.url))
  const ended = await runCliProcess(['doctor', '--json'], {
    ...world.env,
    NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=${shiftedClock}`,
    CLOCK_SHIFT_MS: '-90000',
  })
  expect(findings(ended).find(({ name }) => name === 'clock')).toMatchObject({
    result: 'warning',
    what: expect.stringMatching(/clock is (89|90|91) s behind/),
    mend: expect.stringContaining('NTP'),
  })
})

test('reports a running worker', async () => {
  await world.startWorker()
  await waitFor('the worker to be seen', async () => {
    const worker = findings(await doctor(['--json'])).find(({ name }) => name === 'worker')
    return worker?.result === 'ok'
  })
})
