// A process is killed while it records a status callback, a refusal, or Twilio's message list. Waiting times are shortened,
// except for the 15 seconds that a request may take.
import { expect, test } from '@jest/globals'
import type { KillPoint } from '../support/kill-point.ts'
import { waitFor } from '../support/wait-for.ts'
import { type KillWorld, withKillWorld } from './kill-world.ts'

const SCALE = 0.02
/** Undelivered with 30001 at first, delivered by the retry. */
const FAILS_ONCE = '+15553000101'
const RECOVERED = { status: 'delivered', success: true, retries: 1, codes: [30001] }
const DELIVERED = { status: 'delivered', success: true, retries: 0, codes: [] }

test.concurrent('web is killed before a callback is committed: neither failure nor retry exists, and the sweep asks Twilio', () =>
  withKillWorld(SCALE, { killWebAt: 'in callback' }, async (world) => {
    await untilWebIsKilled(world, 'in callback')
    expect(await world.outcomes()).toMatchObject([{ success: true, retries: 0, codes: [] }])
    expect(await world.jobsIn(['created', 'retry'])).toEqual([])
    await world.startWeb()
    await world.untilOver()
    await expectOneRetry(world)
  }))

test.concurrent('web is killed before a callback is answered: failure and retry exist, and resending adds nothing', () =>
  withKillWorld(SCALE, { killWebAt: 'after callback' }, async (world) => {
    await untilWebIsKilled(world, 'after callback')
    expect(await world.outcomes()).toMatchObject([{ retries: 1, codes: [30001] }])
    await world.startWeb()
    expect(new Set(await world.repeatCallbacks())).toEqual(new Set([204]))
    await world.untilOver()
    await expectOneRetry(world)
  }))

test.concurrent.each<KillPoint>([
  'before look',
  'before finding',
])('a worker is killed while it reconciles, %s: another one looks the messages up again', (point) =>
  withKillWorld(SCALE, { hangMs: 100 }, async (world) => {
    // Both in doubt: Twilio never received the first, and delivered the second without an answer.
    await sendInto(world, { hangBefore: 1 }, '+12065550111')
    await sendInto(world, { hang: 1, dropCallbacks: 1 }, '+12065550112')
    world.endFaults()
    await world.untilKilled(world.launchWorker(point), point)
    expect(await world.statuses()).toEqual(['submitting', 'submitting'])
    await world.startWorker()
    await world.untilOver()
    expect(await world.outcomes()).toEqual([DELIVERED, DELIVERED])
    expect(world.simulator.messages().map(({ answer }) => answer)).toEqual([
      'hung_before',
      'hung',
      'accepted',
    ])
    expect(world.simulator.doubleSubmissions()).toEqual([])
  }))

test.concurrent.each([
  { list: 'shows', listRefused: true },
  { list: 'does not show', listRefused: false },
])("a worker is killed before it records a refusal, which Twilio's list $list: it counts once", ({
  listRefused,
}) =>
  withKillWorld(SCALE, { listRefused }, async (world) => {
    const worker = world.launchWorker('before record')
    // Refused for good; refused at first, delivered by the retry.
    await world.enqueue(['+15552121101', '+15552999901'])
    await world.untilKilled(worker, 'before record')
    expect(await world.statuses()).toEqual(['submitting', 'submitting'])
    const [first] = world.simulator.messages()
    expect(first?.answer).toBe('refused')
    await world.startWorker()
    await world.untilOver()
    expect(await world.outcomes()).toEqual([
      { status: 'failed', success: false, retries: 0, codes: [21211] },
      { status: 'delivered', success: true, retries: 1, codes: [29999] },
    ])
    // Submitted again only if the list does not show the first refusal.
    const asFirst = world.simulator.messages().filter(({ message }) => message === first?.message)
    expect(asFirst.filter(({ attempt }) => attempt === 0)).toHaveLength(listRefused ? 1 : 2)
    expect(world.simulator.doubleSubmissions()).toEqual([])
  }))

async function untilWebIsKilled(world: KillWorld, point: KillPoint): Promise<void> {
  await world.startWorker()
  await world.enqueue([FAILS_ONCE])
  await world.untilKilled(world.web, point)
}

async function expectOneRetry(world: KillWorld): Promise<void> {
  expect(await world.outcomes()).toEqual([RECOVERED])
  expect(world.simulator.messages().map(({ attempt }) => attempt)).toEqual([0, 1])
  expect(world.simulator.doubleSubmissions()).toEqual([])
}

async function sendInto(world: KillWorld, chaos: Record<string, number>, to: string): Promise<void> {
  world.endFaults()
  world.simulator.setChaos(chaos)
  const { status } = await world.sender.send({ userId: 1, to, body: 'Hello' })
  expect(status).toBe('in_doubt')
  await waitFor('the request to be over', () => world.simulator.openRequests() === 0)
}
