// What the tests of the fault simulation share: one run on the shared server, and what must hold at its end.
import { expect } from '@jest/globals'
import { createTestDatabase } from '../support/database.ts'
import { runScenario } from './run-scenario.ts'
import { generateScenario, type ScenarioSize } from './scenario.ts'

export async function expectConvergence(seed: number, size: ScenarioSize): Promise<void> {
  const database = await createTestDatabase()
  try {
    const steps = generateScenario(seed, size, { canRestart: false, isDeploy: false })
    const { faults, statuses, output } = await runScenario(database, null, seed, steps)
    if (faults.length > 0) process.stderr.write(output)
    expect(faults).toEqual([])
    expect(statuses['delivered']).toBeGreaterThan(0)
  } finally {
    await database.drop()
  }
}
