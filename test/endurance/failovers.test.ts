// Two failovers in one run, with each kind of replication; `npm run failover` makes a longer run
// (docs/high-availability.md). One failover: test/failover.
import { test } from '@jest/globals'
import { expectLossesOfTheFailoverOnly, expectNoLoss } from '../failover/expectations.ts'
import { runFailovers } from '../failover/run-failovers.ts'

const SIZE = { failovers: 2, delayScale: 0.003 }

test('two failovers to a synchronous standby lose, double and falsify no message', async () => {
  expectNoLoss(await runFailovers({ replication: 'synchronous', messages: 100, ...SIZE }))
})

test('two failovers to an asynchronous standby cost only messages whose transactions they lost', async () => {
  expectLossesOfTheFailoverOnly(await runFailovers({ replication: 'asynchronous', messages: 160, ...SIZE }))
})
