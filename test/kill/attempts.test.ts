// A worker is killed where a lost job or a second request would do most harm; the other points: test/endurance, and,
// for `send`, send.test.ts. Needs dist/.
import { expect, test } from '@jest/globals'
import { withKillWorld } from './kill-world.ts'
import { expectRecovery, expectRecoveryFrom, killWorker, RECIPIENTS, type Scene } from './worker-scenes.ts'

const SCENES: readonly Scene[] = [
  {
    what: 'requested and accepted, without an answer or a callback',
    point: 'in request',
    chaos: { hang: 1, dropCallbacks: 1 },
    left: 'submitting',
    answer: 'hung',
  },
  { what: 'job taken, not claimed', point: 'before claim', chaos: {}, left: 'pending', answer: null },
]

test.concurrent('a worker is killed after a claim, before its job is completed: the job runs again and does nothing', () =>
  withKillWorld(1, {}, async (world) => {
    const killedAt = await killWorker(world, 'before complete')
    expect(await world.jobsIn(['active'])).toHaveLength(RECIPIENTS.length)
    expect(await world.statuses()).not.toContain('pending')
    await expectRecovery(world, 'claimed, job not completed (before complete)', killedAt)
  }))

test.concurrent.each(SCENES)(
  'a worker is killed with an attempt $what: another worker continues it',
  expectRecoveryFrom,
)
