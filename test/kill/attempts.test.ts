// A worker is killed in the middle of an attempt, with the default settings: another one makes the attempt, or finds out
// that it was made. The test prints how long that took, by the database's clock; the promise is a minute.
import { expect, test } from '@jest/globals'
import type { ChaosChange } from '../../src/simulator/simulator.ts'
import type { KillPoint } from '../support/kill-point.ts'
import { waitFor } from '../support/wait-for.ts'
import { type KillWorld, withKillWorld } from './kill-world.ts'

interface Scene {
  readonly what: string
  readonly point: KillPoint
  readonly chaos: ChaosChange
  /** The status in which the killed worker leaves the messages. */
  readonly left: string
  /** How Twilio handled the first request by then; null if it received none. */
  readonly answer: string | null
}

const NO_CALLBACKS = { dropCallbacks: 1 }

const SCENES: readonly Scene[] = [
  { what: 'claimed, not requested', point: 'after claim', chaos: {}, left: 'submitting', answer: null },
  {
    what: 'requested, never at Twilio',
    point: 'in request',
    chaos: { hangBefore: 1 },
    left: 'submitting',
    answer: 'hung_before',
  },
  {
    what: 'requested and accepted, without an answer or a callback',
    point: 'in request',
    chaos: { hang: 1, ...NO_CALLBACKS },
    left: 'submitting',
    answer: 'hung',
  },
  {
    what: 'accepted and answered, not recorded, without a callback',
    point: 'before record',
    chaos: NO_CALLBACKS,
    left: 'submitting',
    answer: 'accepted',
  },
  { what: 'job taken, not claimed', point: 'before claim', chaos: {}, left: 'pending', answer: null },
]

/** Two texts to one number, whose entries in Twilio's list must be told apart, and one to another. */
const RECIPIENTS = ['+12065550111', '+12065550111', '+12065550112']

const DELIVERED = { status: 'delivered', success: true, retries: 0, codes: [] }

test.concurrent('killed: claimed, perhaps requested, its job not completed; the job rings again and does nothing', () =>
  withKillWorld(1, {}, async (world) => {
    const killedAt = await killWorker(world, 'before complete')
    expect(await world.jobsIn(['active'])).toHaveLength(RECIPIENTS.length)
    expect(await world.statuses()).not.toContain('pending')
    await expectRecovery(world, 'claimed, job not completed (before complete)', killedAt)
  }))

test.concurrent.each(SCENES)('a worker is killed with an attempt $what: another worker continues it', ({
  what,
  point,
  chaos,
  left,
  answer,
}) =>
  withKillWorld(1, { chaos }, async (world) => {
    const killedAt = await killWorker(world, point)
    expect(await world.statuses()).toEqual(RECIPIENTS.map(() => left))
    if (answer === null) {
      expect(world.simulator.messages()).toEqual([])
    } else {
      const first = await waitFor('the request to arrive', () => world.simulator.messages()[0])
      expect(first.answer).toBe(answer)
    }
    const seconds = await expectRecovery(world, `${what} (${point})`, killedAt)
    // Twilio may process a request for half a minute after its client is gone.
    if (left === 'submitting') expect(Math.min(...seconds)).toBeGreaterThanOrEqual(30)
  }))

async function killWorker(world: KillWorld, point: KillPoint): Promise<Date> {
  const worker = world.launch('worker', point)
  await world.enqueue(RECIPIENTS)
  return world.untilKilled(worker, point)
}

/** @returns for each message, the seconds from the kill until it continued */
async function expectRecovery(world: KillWorld, what: string, killedAt: Date): Promise<number[]> {
  world.endFaults()
  world.launch('worker')
  await world.untilOver()
  expect(await world.outcomes()).toEqual(RECIPIENTS.map(() => DELIVERED))
  expect(world.simulator.doubleSubmissions()).toEqual([])
  const seconds = await world.secondsUntilContinued(killedAt)
  process.stderr.write(
    `${what}: continued ${seconds.map((each) => each.toFixed(1)).join(', ')} s after the kill\n`,
  )
  return seconds
}
