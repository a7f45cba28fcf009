// A worker is killed in the middle of an attempt, with the default settings: another one makes it, or finds out that
// it was made. How long that took, by the database's clock, is printed; the promise is a minute.
import { expect } from '@jest/globals'
import type { ChaosChange } from '../../src/simulator/simulator.ts'
import type { KillPoint } from '../support/kill-point.ts'
import { waitFor } from '../support/wait-for.ts'
import { type KillWorld, withKillWorld } from './kill-world.ts'

export interface Scene {
  readonly what: string
  readonly point: KillPoint
  readonly chaos: ChaosChange
  /** How the dead worker leaves the messages. */
  readonly left: string
  /** What Twilio has done by then with the first request that it got; null if it got none. */
  readonly answer: string | null
}

/** Two texts to one number, whose entries in Twilio's list must be told apart, and one to another. */
export const RECIPIENTS = ['+12065550111', '+12065550111', '+12065550112']

const DELIVERED = { status: 'delivered', success: true, retries: 0, codes: [] }

export function expectRecoveryFrom({ what, point, chaos, left, answer }: Scene): Promise<void> {
  return withKillWorld(1, { chaos }, async (world) => {
    const killedAt = await killWorker(world, point)
    expect(await world.statuses()).toEqual(RECIPIENTS.map(() => left))
    if (answer === null) {
      expect(world.simulator.messages()).toEqual([])
    } else {
      const first = await waitFor('the request to arrive', () => world.simulator.messages()[0])
      expect(first.answer).toBe(answer)
    }
    const seconds = await expectRecovery(world, `${what} (${point})`, killedAt)
    // Twilio may be at work on a request for half a minute after its client has gone.
    if (left === 'submitting') expect(Math.min(...seconds)).toBeGreaterThanOrEqual(30)
  })
}

export async function killWorker(world: KillWorld, point: KillPoint): Promise<Date> {
  const worker = world.launchWorker(point)
  await world.enqueue(RECIPIENTS)
  return world.untilKilled(worker, point)
}

/** @returns for each message, the seconds from the kill until it continued */
export async function expectRecovery(world: KillWorld, what: string, killedAt: Date): Promise<number[]> {
  world.endFaults()
  await world.startWorker()
  await world.untilOver()
  expect(await world.outcomes()).toEqual(RECIPIENTS.map(() => DELIVERED))
  expect(world.simulator.doubleSubmissions()).toEqual([])
  const seconds = await world.secondsUntilContinued(killedAt)
  process.stderr.write(
    `${what}: continued ${seconds.map((each) => each.toFixed(1)).join(', ')} s after the kill\n`,
  )
  return seconds
}
