// A short run of the failovers with synchronous replication; `npm run failover` makes a long one (docs/reliability.md).
import { expect, test } from '@jest/globals'
import { runFailovers } from './run-failovers.ts'

test('two failovers to a synchronous standby lose, double and falsify no message', async () => {
  const { figures, faults } = await runFailovers({
    replication: 'synchronous',
    messages: 100,
    failovers: 2,
    delayScale: 0.003,
  })
  expect(faults).toEqual([])
  expect(figures).toMatchObject({ lost: 0, doubled: 0, recordedFalsely: 0, affected: { messages: 0 } })
}, 300_000)
