// npm run simulate-faults -- --seed 1 --messages 60 --minutes 30 [--runs 1] [--shrink-minutes 10] [--older <git ref>]
// A PostgreSQL of its own, the simulator, real processes; faults from the seed; then everything must converge.
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts'
import { migrate } from '../../src/processes/migrate.ts'
import { createTestDatabase } from '../support/database.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { buildOlderVersion, type OlderVersion } from './older-version.ts'
import { type RunResult, runScenario } from './run-scenario.ts'
import { describe, generateScenario, type Step } from './scenario.ts'
import { shrink } from './shrink.ts'

/** A crash must not take back what was committed: only then is `kill -9` of the server a fair fault. */
const SERVER_SETTINGS = ['fsync=off', 'max_connections=300', 'listen_addresses=127.0.0.1']

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    messages: { type: 'string', default: '60' },
    minutes: { type: 'string', default: '30' },
    runs: { type: 'string', default: '1' },
    'shrink-minutes': { type: 'string', default: '10' },
    older: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
})
const firstSeed = whole('seed', values.seed ?? `${Math.floor(Math.random() * 1_000_000)}`)
const size = { messages: whole('messages', values.messages), minutes: whole('minutes', values.minutes) }

process.exitCode = 1
const server = await startEmbeddedPostgres(SERVER_SETTINGS)
let older: OlderVersion | undefined
try {
  if (values.older !== undefined) older = await buildOlderVersion(values.older)
  await server.createDatabase('template_migrated')
  await migrate({ url: server.url('template_migrated'), ssl: null, poolMax: 2 }, silentLogger)
  process.env['TEST_SERVER_URL'] = server.url('postgres')
  let failed = 0
  for (let i = 0; i < whole('runs', values.runs); i += 1) {
    if (!(await simulate(firstSeed + i))) failed += 1
  }
  process.exitCode = failed === 0 ? 0 : 1
} finally {
  await server.stop()
  await older?.remove()
}

async function simulate(seed: number): Promise<boolean> {
  const steps = generateScenario(seed, size, { canRestart: true, isDeploy: older !== undefined })
  tell(`seed ${seed}: ${size.messages} messages, ${steps.length} steps in ${size.minutes} virtual minutes`)
  const startedMs = performance.now()
  const result = await run(seed, steps)
  const seconds = Math.round((performance.now() - startedMs) / 1000)
  tell(`  ${JSON.stringify(result.statuses)}, ${result.virtualSeconds} virtual seconds in ${seconds} s`)
  if (result.faults.length === 0) return true

  tell(`  FAILED:\n${result.faults.map((fault) => `    ${fault}`).join('\n')}`)
  if (values.verbose) tell(result.output)
  const givenUpMs = performance.now() + whole('shrink-minutes', values['shrink-minutes']) * 60_000
  let last = result
  const shortest = await shrink(
    steps,
    async (history) => {
      const again = await run(seed, history)
      if (again.faults.length > 0) last = again
      return again.faults.length > 0
    },
    () => performance.now() < givenUpMs,
  )
  tell(`  The shortest history found, ${shortest.length} of ${steps.length} steps:`)
  tell(shortest.map((step) => `    ${describe(step)}`).join('\n'))
  tell(`  which ends in:\n${last.faults.map((fault) => `    ${fault}`).join('\n')}`)
  const withOlder = values.older === undefined ? '' : ` --older ${values.older}`
  tell(
    `  Again: npm run simulate-faults -- --seed ${seed} --messages ${size.messages} --minutes ${size.minutes}${withOlder}`,
  )
  return false
}

async function run(seed: number, steps: readonly Step[]): Promise<RunResult> {
  const database = await createTestDatabase()
  try {
    return await runScenario(database, server, seed, steps, older?.cli)
  } finally {
    await database.drop()
  }
}

function whole(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    process.stderr.write(`--${name} must be a whole number.\n`)
    process.exit(2)
  }
  return Number(text)
}

function tell(text: string): void {
  process.stdout.write(`${text}\n`)
}
