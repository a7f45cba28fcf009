import { describe, expect, test } from '@jest/globals'
import { createEventQueue } from '../../outcome/event-queue.ts'
import { causesOf, MIXES } from '../../outcome/mix.ts'
import { drawMonth, type MonthOptions, type VirtualMessage } from '../../outcome/virtual-month.ts'
import { createRandom } from '../../src/simulator/seeded-random.ts'

const HOUR_MS = 3_600_000

const options: MonthOptions = {
  causes: causesOf('central', 'central'),
  messages: 100_000,
  days: 30,
  seed: 11,
}
const month = drawMonth(options)
const failed = month.filter(({ cause }) => cause !== null)

/** Without its function, which is compared by its results. */
const plain = ({ drawsOf, ...message }: VirtualMessage): unknown => ({
  ...message,
  draws: [drawsOf(0), drawsOf(1)],
})

test('the same seed gives the same month', () => {
  const small = { ...options, messages: 3000 }
  expect(drawMonth(small).map(plain)).toEqual(drawMonth(small).map(plain))
})

test('another seed gives other times and other failures', () => {
  const [one, other] = [1, 2].map((seed) => drawMonth({ ...options, messages: 3000, seed }))
  expect(one?.map(({ createdAtMs }) => createdAtMs)).not.toEqual(other?.map(({ createdAtMs }) => createdAtMs))
  expect(one?.map(({ code }) => code)).not.toEqual(other?.map(({ code }) => code))
})

test('each cause has exactly the messages that the mix gives it', () => {
  const counts = new Map<string, number>()
  for (const { cause } of failed) counts.set(cause?.id ?? '', (counts.get(cause?.id ?? '') ?? 0) + 1)
  const wanted = options.causes.map(({ id, share }) => [id, Math.round(share * 100_000)])
  expect(Object.fromEntries(counts)).toEqual(Object.fromEntries(wanted))
})

test.each([
  ['low', 2000],
  ['central', 6180],
  ['high', 19_550],
] as const)('in the %s mix, %i of 100,000 messages fail at the first attempt', (mix, count) => {
  const shares = causesOf(mix, 'central').map(({ share }) => Math.round(share * 100_000))
  expect(shares.reduce((sum, share) => sum + share, 0)).toBe(count)
})

test('the codes of each cause have shares that sum to 1', () => {
  for (const mix of MIXES)
    for (const { id, codes } of causesOf(mix, 'central'))
      expect([id, codes.reduce((sum, { share }) => sum + share, 0).toFixed(9)]).toEqual([id, '1.000000000'])
})

test('30003 is reported for 2,200 messages of the central mix', () => {
  const unreachable = failed.filter(({ code }) => code === 30003)
  expect(unreachable).toHaveLength(1500 * 0.2 + 600 * 0.17 + 500 * 0.2 + 1300 + 300 + 100)
})

test('messages are sent in the order of their ids, in the hours of the day in which people are awake', () => {
  expect(month.map(({ id }) => id)).toEqual(Array.from({ length: 100_000 }, (_, i) => i + 1))
  expect(month.every(({ createdAtMs }, i) => createdAtMs >= (month[i - 1]?.createdAtMs ?? 0))).toBe(true)
  // Messages that meet an outage are placed before its end, at any hour.
  const hours = month
    .filter(({ cause }) => cause?.isOutage !== true)
    .map(({ createdAtMs }) => new Date(createdAtMs - 4 * HOUR_MS).getUTCHours())
  expect([Math.min(...hours), Math.max(...hours)]).toEqual([8, 20])
})

test('all messages that meet an outage recover at its end', () => {
  const ends = new Set(failed.filter(({ cause }) => cause?.isOutage).map(({ recoversAtMs }) => recoversAtMs))
  expect(ends.size).toBeGreaterThanOrEqual(1)
  expect(ends.size).toBeLessThanOrEqual(3)
})

test('a message has 1.31 segments in the mean', () => {
  const mean = month.reduce((sum, { segments }) => sum + segments, 0) / month.length
  // Four standard errors: the standard deviation of the distribution is 0.72.
  expect(Math.abs(mean - 1.31)).toBeLessThan((4 * 0.72) / Math.sqrt(month.length))
})

test('a carrier that stores messages reports 30003 after one to three days', () => {
  const stored = drawMonth({ ...options, messages: 10_000, carriersStore: true })
  const delays = stored
    .filter(({ code }) => code === 30003)
    .map(({ createdAtMs, failsAtMs }) => (failsAtMs - createdAtMs) / HOUR_MS)
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(24)
  expect(Math.max(...delays)).toBeLessThan(72.01)
})

describe('the queue of events', () => {
  test('gives back what was added, in the order of time', () => {
    const random = createRandom(3)
    const times = Array.from({ length: 2000 }, () => Math.floor(random() * 500))
    const queue = createEventQueue<number>()
    for (const [i, at] of times.entries()) queue.add(at, i)
    const taken = Array.from(times, () => queue.take())
    expect(taken.map((entry) => entry?.atMs)).toEqual(times.toSorted((one, other) => one - other))
    expect(queue.take()).toBeNull()
  })

  test('keeps the order of events of the same time', () => {
    const queue = createEventQueue<string>()
    for (const name of ['one', 'two', 'three']) queue.add(5, name)
    queue.add(4, 'before')
    expect(Array.from({ length: 4 }, () => queue.take()?.value)).toEqual(['before', 'one', 'two', 'three'])
  })
})
