// A month of an installation in virtual time, as figures for `findingsOf`: days and nights, weekends, campaigns, deploys,
// lost callbacks. Numbers are drawn at random. What an incident would be is drawn nowhere, unless `incident` asks for it.
import type { CodeCounts, CodeFigures } from '../../src/delivery/code-jump.ts'
import type { HealthFigures, ObservedInstance } from '../../src/delivery/health-finding.ts'
import { createRandom, type Random } from '../../src/simulator/seeded-random.ts'

export const STEP_SECONDS = 300
const DAY = 86_400
const HOUR = 3600
export const START_MS = Date.UTC(2026, 10, 2)
/** A week of history comes first. */
export const DAYS = 37

const SIX_HOURS = (6 * HOUR) / STEP_SECONDS
const WEEK = (7 * DAY) / STEP_SECONDS

/** The usual share of messages that fail with each code. */
const SHARES: Readonly<Record<number, number>> = {
  30003: 0.012,
  30005: 0.006,
  30006: 0.004,
  30007: 0.002,
  30008: 0.003,
  21211: 0.001,
  21610: 0.0015,
  30001: 0.0003,
}

export interface Incident {
  readonly kind: 'code' | 'callbacks'
  /** Seconds since the start. */
  readonly from: number
}

/** The messages of one step: as many as db/health-figures.ts reads of it for each span. */
type Bin = Readonly<Record<keyof CodeFigures, CodeCounts>>

const PER_STEP: Readonly<Record<keyof CodeFigures, number>> = {
  lastHour: 250,
  lastSixHours: 25,
  weekBefore: 20 / 6,
}

export class OrdinaryMonth {
  readonly #random: Random
  readonly #perDay: number
  readonly #incident: Incident | null
  /** One for each step. */
  readonly #bins: Bin[] = []
  readonly #week = { messages: 0, byCode: new Map<number, number>() }
  /** Seconds since the start, ascending. */
  readonly #callbacks: number[] = [0]
  readonly #missed: number[] = []
  #campaignUntil = 0
  #campaignFactor = 1
  #startedAt = 0
  #version = 1

  constructor(perDay: number, seed: number, incident: Incident | null = null) {
    this.#random = createRandom(seed)
    this.#perDay = perDay
    this.#incident = incident
  }

  /** Draws the next step, and returns the figures at moments within it. */
  *step(): Generator<HealthFigures> {
    const from = this.#bins.length * STEP_SECONDS
    const messages = this.#poisson(this.#rateAt(from) * STEP_SECONDS)
    this.#addBin(messages, this.#failures(messages, from))
    this.#report(messages, from)
    if (this.#isDeployAt(from)) {
      this.#version += 1
      // Rolling: for three minutes, processes of both versions run; the worker is gone for up to 45 s.
      for (let at = from; at < from + 240; at += 15) yield this.#figures(at, from)
      this.#startedAt = from + 200
    }
    yield this.#figures(from + this.#between(240, STEP_SECONDS - 1), null)
  }

  /** Messages per second: a peak in the afternoon, a fiftieth of it at night, less at weekends, campaigns on some days. */
  #rateAt(at: number): number {
    const hour = (at % DAY) / HOUR
    const weekday = Math.floor(at / DAY) % 7
    const daytime = Math.max(Math.sin(((hour - 6) / 16) * Math.PI), 0.02)
    const base = (this.#perDay / DAY) * 2.3 * daytime * (weekday >= 5 ? 0.3 : 1)
    if (at >= this.#campaignUntil) this.#campaignFactor = 1
    if (weekday < 5 && hour >= 9 && hour < 17 && this.#random() < 1 / 200) {
      this.#campaignUntil = at + HOUR
      // Its list is worse than the usual recipients.
      this.#campaignFactor = this.#between(0.6, 1.8)
    }
    return at < this.#campaignUntil ? base * 8 : base
  }

  #failures(messages: number, at: number): ReadonlyMap<number, number> {
    const byCode = new Map<number, number>()
    // Over the day and between recipients, shares differ by up to a third.
    const ofHour = 1 + Math.sin((at / DAY) * 2 * Math.PI) / 3
    for (const [code, share] of Object.entries(SHARES)) {
      const isIncident = this.#isIncident('code', at) && code === '30007'
      const own = share * ofHour * this.#campaignFactor * (isIncident ? 30 : 1)
      const failed = this.#poisson(messages * own)
      if (failed > 0) byCode.set(Number(code), Math.min(failed, messages))
    }
    return byCode
  }

  #isIncident(kind: Incident['kind'], at: number): boolean {
    return this.#incident?.kind === kind && at >= this.#incident.from
  }

  /** Twilio reports each message within seconds. One callback in fifty is lost, and a lookup finds it after five minutes. */
  #report(messages: number, from: number): void {
    for (let n = 0; n < messages; n += 1) {
      const at = from + this.#random() * STEP_SECONDS
      const isLost = this.#isIncident('callbacks', at) || this.#random() < 0.02
      if (isLost) this.#missed.push(at + 300 + this.#random() * 10)
      else this.#callbacks.push(at + 2 - 10 * Math.log(1 - this.#random()))
    }
    const ascending = (one: number, other: number): number => one - other
    // Older ones have no influence.
    for (const times of [this.#callbacks, this.#missed]) {
      times.sort(ascending)
      times.splice(0, Math.max(0, times.findLastIndex((at) => at < from - 2 * STEP_SECONDS) - 100))
    }
  }

  #isDeployAt(at: number): boolean {
    return at > 0 && at % DAY === 15 * HOUR && Math.floor(at / DAY) % 7 < 5
  }

  /** @param deploySince the start of a deploy that is under way; null for none */
  #figures(at: number, deploySince: number | null): HealthFigures {
    const isCampaign = at < this.#campaignUntil
    const dueAge = isCampaign ? this.#between(0, 700) : this.#between(0, 4)
    const due = isCampaign ? 500 : this.#poisson(this.#rateAt(at))
    return {
      now: toDate(at),
      account: { hold: null, pause: null, workingSince: null },
      backlog: {
        due,
        oldestDueAt: due === 0 ? null : toDate(at - dueAge),
        deferred: this.#poisson(this.#perDay / 1000),
        inDoubt: this.#random() < 0.02 ? 1 : 0,
        oldestInDoubtAt: toDate(at - this.#between(31, 200)),
      },
      instances: this.#instances(at, deploySince, isCampaign),
      exited: {
        workerSeenAt: toDate(deploySince ?? 0),
        callbackAt: toDate(this.#latestCallback(deploySince ?? 0)),
      },
      rateReservedUntil: null,
      queue: { state: 'current', failedOutcomes: 0 },
      codes: this.#codes(),
    }
  }

  #instances(at: number, deploySince: number | null, isCampaign: boolean): ObservedInstance[] {
    const process = (role: string, startedAt: number, version: number): ObservedInstance => {
      const seenAt = at - this.#between(0, 15)
      const missedAt = this.#missed.filter((time) => time >= startedAt && time <= seenAt).slice(-100)
      const callback = this.#latestCallback(seenAt)
      return {
        role,
        host: 'app',
        pid: 1,
        version: `1.0.${version}`,
        settings: {},
        startedAt: toDate(startedAt),
        seenAt: toDate(seenAt),
        activity: {
          claimedAt: isCampaign ? toDate(seenAt - 1) : null,
          callbackAt: role === 'web' && callback >= startedAt ? toDate(callback) : null,
          missedAt: role === 'worker' ? missedAt.map(toDate) : [],
          refusedAt: [],
        },
      }
    }
    if (deploySince === null)
      return [
        process('web', this.#startedAt, this.#version),
        process('worker', this.#startedAt, this.#version),
      ]
    const since = at - deploySince
    return [
      ...(since < 180 ? [process('web', this.#startedAt, this.#version - 1)] : []),
      ...(since >= 60 ? [process('web', deploySince + 60, this.#version)] : []),
      ...(since >= 45 ? [process('worker', deploySince + 45, this.#version)] : []),
    ]
  }

  #latestCallback(until: number): number {
    return this.#callbacks.findLast((at) => at <= until) ?? 0
  }

  #codes(): CodeFigures {
    const sixHours = this.#bins.slice(-SIX_HOURS)
    return {
      lastHour: sum(sixHours.slice(-SIX_HOURS / 6).map(({ lastHour }) => lastHour)),
      lastSixHours: sum(sixHours.map(({ lastSixHours }) => lastSixHours)),
      weekBefore: this.#week,
    }
  }

  #addBin(messages: number, byCode: ReadonlyMap<number, number>): void {
    const sample = (span: keyof CodeFigures): CodeCounts => this.#sample(messages, byCode, PER_STEP[span])
    this.#bins.push({
      lastHour: sample('lastHour'),
      lastSixHours: sample('lastSixHours'),
      weekBefore: sample('weekBefore'),
    })
    const enters = this.#bins.at(-SIX_HOURS - 1)
    const leaves = this.#bins.at(-WEEK - 1)
    if (enters !== undefined) addTo(this.#week, enters.weekBefore, 1)
    if (leaves !== undefined) addTo(this.#week, leaves.weekBefore, -1)
  }

  /** At most `most` of the messages, on average. */
  #sample(messages: number, byCode: ReadonlyMap<number, number>, most: number): CodeCounts {
    const share = Math.min(most / Math.max(messages, 1), 1)
    if (share === 1) return { messages, byCode }
    const kept = [...byCode].map(([code, failed]): [number, number] => {
      let count = 0
      for (let n = 0; n < failed; n += 1) if (this.#random() < share) count += 1
      return [code, count]
    })
    return { messages: messages * share, byCode: new Map(kept) }
  }

  #between(least: number, most: number): number {
    return least + this.#random() * (most - least)
  }

  /** Knuth's method, in parts for large means. */
  #poisson(mean: number): number {
    let count = 0
    for (let rest = mean; rest > 0; rest -= 30) {
      const limit = Math.exp(-Math.min(rest, 30))
      for (let product = this.#random(); product > limit; product *= this.#random()) count += 1
    }
    return count
  }
}

export function toDate(seconds: number): Date {
  return new Date(START_MS + seconds * 1000)
}

function addTo(
  total: { messages: number; byCode: Map<number, number> },
  counts: CodeCounts,
  sign: 1 | -1,
): void {
  total.messages += sign * counts.messages
  for (const [code, failed] of counts.byCode)
    total.byCode.set(code, (total.byCode.get(code) ?? 0) + sign * failed)
}

function sum(all: readonly CodeCounts[]): CodeCounts {
  const total = { messages: 0, byCode: new Map<number, number>() }
  for (const counts of all) addTo(total, counts, 1)
  return total
}
