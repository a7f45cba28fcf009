// An ordinary month raises no alarm: every five minutes, and every 15 seconds during a deploy, the figures of an installation
// in virtual time go through the same code as those of the database. An incident in the same month is found.
import { describe, expect, test } from '@jest/globals'
import { findingsOf } from '../../src/delivery/health.ts'
import { DAYS, type Incident, OrdinaryMonth, STEP_SECONDS, toDate } from './ordinary-month.ts'

const STEPS = (DAYS * 86_400) / STEP_SECONDS
/** So that the week before it is complete. */
const FIRST_STEP = (7 * 86_400) / STEP_SECONDS

interface Alarm {
  readonly at: string
  readonly sentence: string
  readonly name: string
}

function play(perDay: number, seed: number, incident: Incident | null = null) {
  const month = new OrdinaryMonth(perDay, seed, incident)
  const alarms: Alarm[] = []
  let evaluations = 0
  for (let step = 0; step < STEPS; step += 1) {
    for (const figures of month.step()) {
      if (step < FIRST_STEP) continue
      evaluations += 1
      for (const { name, sentence } of findingsOf(figures))
        alarms.push({ at: figures.now.toISOString(), name, sentence })
    }
    if (alarms.length > 0) break
  }
  return { alarms, evaluations }
}

test.each([
  [50, 1],
  [1_000, 2],
  [5_000, 3],
  [20_000, 4],
])('a month with %i messages on a workday raises no alarm (seed %i)', (perDay, seed) => {
  const { alarms, evaluations } = play(perDay, seed)
  expect(alarms).toEqual([])
  expect(evaluations).toBeGreaterThan(30 * 288)
})

describe('an incident in the same month', () => {
  /** A Monday at 11:00, after three weeks. */
  const from = 21 * 86_400 + 11 * 3600

  test.each([
    ['code', 'code_jumped', 1_000, 4 * 3600],
    ['code', 'code_jumped', 20_000, 1800],
    ['callbacks', 'callbacks_stopped', 1_000, 1200],
    ['callbacks', 'callbacks_stopped', 20_000, 900],
  ] as const)('is found: %s (%s, %i messages a day, within %i s)', (kind, name, perDay, withinSeconds) => {
    const [alarm] = play(perDay, 7, { kind, from }).alarms
    expect(alarm?.name).toBe(name)
    const seconds = (Date.parse(alarm?.at ?? '') - toDate(from).getTime()) / 1000
    expect(seconds).toBeGreaterThan(0)
    expect(seconds).toBeLessThan(withinSeconds)
  })
})
