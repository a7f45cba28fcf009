// One failover with synchronous replication; test/endurance makes two in one run.
import { test } from '@jest/globals'
import { expectNoLoss } from './expectations.ts'
import { runFailovers } from './run-failovers.ts'

test('a failover to a synchronous standby loses, doubles and falsifies no message', async () => {
  expectNoLoss(
    await runFailovers({ replication: 'synchronous', messages: 40, failovers: 1, delayScale: 0.003 }),
  )
})
