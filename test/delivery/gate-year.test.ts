// Follows messages through `decide` over a year, in five zones with every kind of clock change: from a random time on, each
// is due, is submitted or waits, and fails and is retried. Nothing is submitted outside the window, by clocks that Intl
// formats, and no wait is longer than to the next opening and its spread.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Circumstances, Context } from '../../src/delivery/decision.ts'
import type { Message } from '../../src/delivery/message.ts'
import { CLOCK_SPREAD_SECONDS, createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import { createRandom } from '../../src/simulator/seeded-random.ts'
import { WORKING_ACCOUNT } from '../../src/delivery/account-state.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import { buildAttempt, buildMessage, callback, due, sidOf, toLatestClaim } from './build-message.ts'

const START = Date.parse('2026-01-01T00:00:00Z')
const MINUTE = 60_000
const QUARTER = 15 * MINUTE
const DAY = 24 * 60 * MINUTE
const WINDOW = { from: '08:00', to: '21:00' }
const ZONES = [
  'America/New_York',
  'America/Santiago',
  'Australia/Lord_Howe',
  'Asia/Kolkata',
  'Asia/Tokyo',
] as const

/** At random times, which differ from day to day and zone to zone. */
const MESSAGES_PER_DAY = 4

const policy = createRetryPolicy()

const formats = new Map<string, Intl.DateTimeFormat>()

function wallClock(timeZone: string, at: Date): string {
  let format = formats.get(timeZone)
  format ??= new Intl.DateTimeFormat('en-GB', { timeZone, timeStyle: 'short' })
  formats.set(timeZone, format)
  return format.format(at)
}

const isInWindow = (time: string): boolean => WINDOW.from <= time && time < WINDOW.to

/** Reads the clock every quarter of an hour: the window and all changes of clocks are at one. */
function nextOpening(timeZone: string, from: Date): Date {
  if (isInWindow(wallClock(timeZone, from))) return from
  for (let at = Math.ceil(from.getTime() / QUARTER) * QUARTER; ; at += QUARTER) {
    if (isInWindow(wallClock(timeZone, new Date(at)))) return new Date(at)
  }
}

interface Submission {
  readonly at: Date
  readonly endsAt: Date
}

interface Wait {
  readonly since: Date
  readonly until: Date
}

/** Plays a message whose attempts all fail, until it is given up. */
function playMessage(timeZone: string, createdAt: Date, random: () => number) {
  const circumstances: Circumstances = { ...UNRESTRICTED, sendWindow: WINDOW, zonesOf: () => [timeZone] }
  const at = (now: Date): Context => ({
    policy,
    circumstances,
    account: WORKING_ACCOUNT,
    now,
    random: random(),
  })
  const submissions: Submission[] = []
  const waits: Wait[] = []
  let now = createdAt
  let message: Message = buildMessage('pending', [buildAttempt(0, 'pending')], { createdAt })
  for (let steps = 0; steps < 20; steps += 1) {
    const decision = decide(message, due(message.retryCount), at(now))
    if (decision.kind === 'schedule') {
      waits.push({ since: now, until: decision.at })
      message = decision.message
      now = decision.at
      continue
    }
    if (decision.kind !== 'submit') throw new Error(`A due attempt led to: ${decision.kind}`)
    const { attempt, validitySeconds } = decision.submission
    if (validitySeconds === null) throw new Error('The submission has no end')
    submissions.push({ at: now, endsAt: new Date(now.getTime() + validitySeconds * 1000) })
    // The carrier reports the failure up to three hours later, which may be after the end of the window.
    const reportedAt = new Date(now.getTime() + Math.floor(random() * 180) * MINUTE)
    const code = random() < 0.5 ? 30003 : 30001
    const failure = toLatestClaim(decision.message, callback('undelivered', code, attempt, sidOf(attempt)))
    const failed = decide(decision.message, failure, at(reportedAt))
    if (failed.kind !== 'schedule') return { submissions, waits }
    waits.push({ since: new Date(reportedAt.getTime() + MAX_BACK_OFF_MS), until: failed.at })
    message = failed.message
    now = failed.at
  }
  throw new Error('The message was not given up')
}

/** The longest delay before a retry of the codes above, jitter included. */
const MAX_BACK_OFF_MS = 600 * 1.1 * 1000

describe('over a year, with a failed attempt after another,', () => {
  test.each(
    ZONES,
  )('a message in %s is never submitted outside its window, nor waits for longer than to the next', (zone) => {
    const random = createRandom(7)
    let submitted = 0
    const outside: string[] = []
    const tooLong: string[] = []
    for (let day = 0; day < 365; day += 1) {
      for (let n = 0; n < MESSAGES_PER_DAY; n += 1) {
        const createdAt = new Date(START + day * DAY + Math.floor(random() * DAY))
        const { submissions, waits } = playMessage(zone, createdAt, random)
        submitted += submissions.length
        for (const { at, endsAt } of submissions) {
          const beforeEnd = new Date(endsAt.getTime() - 1)
          const times = [at, beforeEnd].map((time) => wallClock(zone, time))
          const isSameDay = endsAt.getTime() - at.getTime() <= 14 * 60 * MINUTE
          if (!times.every(isInWindow) || !isSameDay)
            outside.push(`${at.toISOString()}: ${times.join(' to ')}`)
        }
        for (const { since, until } of waits) {
          // The last minute of an opening is not used.
          const opening = nextOpening(zone, new Date(since.getTime() + MINUTE))
          const latest = opening.getTime() + CLOCK_SPREAD_SECONDS * policy.jitter * 1000
          if (until.getTime() > latest) tooLong.push(`${since.toISOString()} until ${until.toISOString()}`)
        }
      }
    }
    expect(outside).toEqual([])
    expect(tooLong).toEqual([])
    expect(submitted).toBeGreaterThan(365 * MESSAGES_PER_DAY * 3)
  })
})
