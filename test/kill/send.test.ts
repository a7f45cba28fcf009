// A process is killed while it sends a message itself, without a job: a worker finds the row and continues. Waiting times
// are shortened, except for the 15 seconds that a request may take.
import { expect, test } from '@jest/globals'
import type { ChaosChange } from '../../src/simulator/simulator.ts'
import type { KillPoint } from '../support/kill-point.ts'
import { waitFor } from '../support/wait-for.ts'
import { withKillWorld } from './kill-world.ts'

const SCALE = 0.02
const TO = '+12065550111'
const DELIVERED = { status: 'delivered', success: true, retries: 0, codes: [] }

interface Scene {
  readonly what: string
  readonly point: KillPoint
  readonly chaos: ChaosChange
  /** How Twilio handled each request, that of the killed process first. */
  readonly answers: readonly string[]
}

const SCENES: readonly Scene[] = [
  { what: 'claimed, not requested', point: 'after claim', chaos: {}, answers: ['accepted'] },
  {
    what: 'requested, never at Twilio',
    point: 'in request',
    chaos: { hangBefore: 1 },
    answers: ['hung_before', 'accepted'],
  },
  {
    what: 'requested and accepted, without an answer or a callback',
    point: 'in request',
    chaos: { hang: 1, dropCallbacks: 1 },
    answers: ['hung'],
  },
  {
    what: 'accepted and answered, not recorded, without a callback',
    point: 'before record',
    chaos: { dropCallbacks: 1 },
    answers: ['accepted'],
  },
]

test.concurrent.each(SCENES)('a process is killed in send with an attempt $what: the message is sent once', ({
  point,
  chaos,
  answers,
}) =>
  withKillWorld(SCALE, { chaos }, async (world) => {
    await world.untilKilled(world.launchSend(TO, point), point)
    expect(await world.statuses()).toEqual(['submitting'])
    expect(await world.jobsIn(['created', 'retry', 'active'])).toEqual([])
    const requests = (): string[] => world.simulator.messages().map(({ answer }) => answer)
    const ofSend = point === 'after claim' ? [] : answers.slice(0, 1)
    await waitFor('the request to arrive', () => requests().length === ofSend.length)
    expect(requests()).toEqual(ofSend)
    world.endFaults()
    await world.startWorker()
    await world.untilOver()
    expect(await world.outcomes()).toEqual([DELIVERED])
    expect(requests()).toEqual(answers)
    expect(world.simulator.doubleSubmissions()).toEqual([])
  }))

test.concurrent('a process is killed in send before its row is committed: no row exists, and nothing was sent', () =>
  withKillWorld(SCALE, {}, async (world) => {
    await world.untilKilled(world.launchSend(TO, 'before claim'), 'before claim')
    expect(await world.statuses()).toEqual([])
    expect(world.simulator.messages()).toEqual([])
  }))
