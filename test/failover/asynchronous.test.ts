// One failover with asynchronous replication; test/endurance makes two in one run.
import { test } from '@jest/globals'
import { expectLossesOfTheFailoverOnly } from './expectations.ts'
import { runFailovers } from './run-failovers.ts'

test('a failover to an asynchronous standby costs only messages whose transactions it lost', async () => {
  expectLossesOfTheFailoverOnly(
    await runFailovers({ replication: 'asynchronous', messages: 100, failovers: 1, delayScale: 0.003 }),
  )
})
