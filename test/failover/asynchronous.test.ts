// A short run of the failovers with asynchronous replication; `npm run failover` makes a long one (docs/reliability.md).
import { expect, test } from '@jest/globals'
import { runFailovers } from './run-failovers.ts'

test('two failovers to an asynchronous standby cost nothing but the messages whose transactions they lost', async () => {
  const { figures, faults } = await runFailovers({
    replication: 'asynchronous',
    messages: 120,
    failovers: 2,
    delayScale: 0.003,
  })
  expect(faults).toEqual([])
  expect(figures).toMatchObject({ lost: 0, doubled: 0, recordedFalsely: 0 })
  // Otherwise there was no loss, and nothing was tested.
  expect(figures.affected.rowsLost).toBeGreaterThan(0)
  expect(figures.idsGivenOutAgain).toBeGreaterThan(0)
  expect(figures.lateCallbacks).toBeGreaterThan(0)
}, 300_000)
