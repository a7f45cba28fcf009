// What the tests of the fault simulation share: one run on the shared server, and what must hold at its end.
import { expect } from '@jest/globals'
import { createTestDatabase } from '../support/database.ts'
import { runScenario } from './run-scenario.ts'
import { generateScenario, type ScenarioSize } from './scenario.ts'

/** @param seeds of histories that happen at the same time; the first one also decides how the simulator behaves */
export async function expectConvergence(
  seeds: readonly [number, ...number[]],
  size: ScenarioSize,
): Promise<void> {
  const database = await createTestDatabase()
  try {
    const histories = seeds.map((seed) =>
      generateScenario(seed, size, { canRestart: false, isDeploy: false }),
    )
    const steps = histories.flat().toSorted((one, other) => one.atSeconds - other.atSeconds)
    const { faults, statuses, output } = await runScenario(database, null, seeds[0], steps)
    if (faults.length > 0) process.stderr.write(output)
    expect(faults).toEqual([])
    expect(statuses['delivered']).toBeGreaterThan(0)
  } finally {
    await database.drop()
  }
}
