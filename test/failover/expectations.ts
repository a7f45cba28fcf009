// What must hold after failovers, however many messages there were.
import { expect } from '@jest/globals'
import type { RunResult } from './run-failovers.ts'

/** With synchronous replication, a failover costs nothing. */
export function expectNoLoss({ figures, faults }: RunResult): void {
  expect(faults).toEqual([])
  expect(figures).toMatchObject({ lost: 0, doubled: 0, recordedFalsely: 0, affected: { messages: 0 } })
}

/** With asynchronous replication, it affects only messages whose transactions it lost. */
export function expectLossesOfTheFailoverOnly({ figures, faults }: RunResult): void {
  expect(faults).toEqual([])
  expect(figures).toMatchObject({ lost: 0, doubled: 0, recordedFalsely: 0 })
  // Otherwise there was no loss, and nothing was tested.
  expect(figures.affected.rowsLost).toBeGreaterThan(0)
  expect(figures.idsGivenOutAgain).toBeGreaterThan(0)
  expect(figures.lateCallbacks).toBeGreaterThan(0)
}
