// A short run of the fault simulation (docs/reliability.md says how to run a long one): the same seeds each time, the
// real processes, the real database. Needs dist/.
import { afterEach, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { runScenario } from './run-scenario.ts'
import { generateScenario } from './scenario.ts'

let database: TestDatabase | undefined
afterEach(async () => {
  await database?.drop()
})

test.each([
  3, 4, 6,
])('seed %i: when the faults have ended, the system converges and everything holds', async (seed) => {
  database = await createTestDatabase()
  const steps = generateScenario(seed, { messages: 15, minutes: 8 }, { canRestart: false, isDeploy: false })
  const { faults, statuses, output } = await runScenario(database, null, seed, steps)
  if (faults.length > 0) process.stderr.write(output)
  expect(faults).toEqual([])
  expect(statuses['delivered']).toBeGreaterThan(0)
}, 300_000)
