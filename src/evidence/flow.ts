// Sends the failed messages of a history through a policy: how many are retried, recovered and lost. The caller chooses
// the share that each retry delivers, and whether its successes are drawn or expected.
import { maxRetriesOf, type RetryPolicy } from '../delivery/retry-policy.ts'
import type { Code, History } from './history.ts'
import { type Plan, planOf } from './plan.ts'
import type { Trial, Trials } from './trials.ts'

/** Messages with the same first failure and the same limits of their own. */
export interface Entry {
  readonly code: Code
  readonly messages: number
  readonly maxRetries: number | null
  readonly remainingSeconds: number | null
}

export interface Flow {
  readonly retried: number
  readonly retries: number
  readonly recovered: number
  readonly lost: number
  /**
   * Messages that reach a retry whose result the history does not show, or that may reach it only after their deadline, and
   * the retries that they can have.
   */
  readonly unknown: number
  readonly unknownRetries: number
}

/** Which bound of the unknown shares to assume. Where the history has the same retry, both are the same. */
export type Bound = 'low' | 'high'

export interface Odds {
  /** The share that this trial delivers, by this bound of the shares that its counts allow. */
  readonly shareOf: (trial: Trial, bound: Bound) => number
  /** How many of `messages` have an outcome of this probability. */
  readonly split: (messages: number, share: number) => number
}

/** The messages by what limits their retries. */
export function entriesOf(history: History, inForce: RetryPolicy): Entry[] {
  const usual = maxRetriesOf(inForce)
  const entries = new Map<string, Entry>()
  for (const { codes, maxRetries, remainingSeconds, messages } of history.paths) {
    const [code = null] = codes
    // A new row gets the limit of the policy, which another policy would change.
    const own = maxRetries < usual ? maxRetries : null
    const key = `${code} ${own} ${remainingSeconds}`
    const before = entries.get(key)?.messages ?? 0
    entries.set(key, { code, maxRetries: own, remainingSeconds, messages: before + messages })
  }
  return [...entries.values()]
}

interface State {
  readonly code: Code
  /** Retries before its code began to repeat. */
  readonly start: number
  messages: number
  elapsedSeconds: number
}

/** The plans of a policy, each made when a message first needs it. */
export class Plans {
  readonly #plans = new Map<string, Plan>()
  readonly #policy: RetryPolicy
  readonly #inForce: RetryPolicy
  readonly #trials: Trials

  constructor(policy: RetryPolicy, inForce: RetryPolicy, trials: Trials) {
    this.#policy = policy
    this.#inForce = inForce
    this.#trials = trials
  }

  of(code: Code, start: number): Plan {
    const key = `${code} ${start}`
    const plan = this.#plans.get(key) ?? planOf(this.#policy, this.#inForce, this.#trials, code, start)
    this.#plans.set(key, plan)
    return plan
  }
}

/** All messages of an entry make their first retry together, then their second, and so on. */
export function flow(entry: Entry, plans: Plans, bound: Bound, odds: Odds): Flow {
  const sum = { retried: 0, retries: 0, recovered: 0, lost: 0, unknown: 0, unknownRetries: 0 }
  let states: State[] = [{ code: entry.code, start: 0, messages: entry.messages, elapsedSeconds: 0 }]
  for (let used = 0; states.length > 0; used += 1) {
    const next: State[] = []
    for (const state of states) {
      const plan = plans.of(state.code, state.start)
      const place = used - state.start
      const retry = plan.retries[place]
      const allowed = Math.min(plan.allowed, (entry.maxRetries ?? Number.POSITIVE_INFINITY) - state.start)
      const { messages } = state
      const left = (entry.remainingSeconds ?? Number.POSITIVE_INFINITY) - state.elapsedSeconds
      if (place >= allowed || retry === undefined || retry.shortestWaitSeconds >= left) {
        sum.lost += messages
        continue
      }
      // Some of these retries would come before the deadline, and some after it.
      if (retry.longestWaitSeconds >= left) {
        sum.unknown += messages
        sum.unknownRetries += messages * (allowed - place)
        continue
      }
      sum.retries += messages
      if (used === 0) sum.retried += messages
      if (retry.bounds === null) {
        sum.unknown += messages
        sum.unknownRetries += messages * (allowed - place - 1)
        continue
      }
      const recovered = odds.split(messages, shareOfRetry(plan, place, bound, odds))
      sum.recovered += recovered
      const failed = messages - recovered
      const elapsedSeconds = state.elapsedSeconds + retry.waitSeconds + plan.reportSeconds
      if (failed > 0) addFailed(next, state, failed, elapsedSeconds, used + 1, plan.nextCodes(place), odds)
    }
    states = next
  }
  return sum
}

/** The share of the messages that reach this retry, which it delivers. */
function shareOfRetry(plan: Plan, place: number, bound: Bound, odds: Odds): number {
  let [before, delivered] = [0, 0]
  for (const { bounds } of plan.retries.slice(0, place + 1)) {
    before = delivered
    const schedule = bounds?.[bound] ?? []
    // A further retry does not hurt, although two bounds from different trials can say so.
    delivered = Math.max(
      before,
      1 - schedule.reduce((left, trial) => left * (1 - odds.shareOf(trial, bound)), 1),
    )
  }
  return before >= 1 ? 0 : (delivered - before) / (1 - before)
}

/** Distributes the messages over the codes of their next failure. */
function addFailed(
  next: State[],
  { code, start }: State,
  failed: number,
  elapsedSeconds: number,
  used: number,
  nextCodes: ReturnType<Plan['nextCodes']>,
  { split }: Odds,
): void {
  let messages = failed
  let weight = [...nextCodes.values()].reduce((total, count) => total + count, 0)
  for (const [nextCode, count] of nextCodes) {
    const moved = count === weight ? messages : split(messages, count / weight)
    messages -= moved
    weight -= count
    if (moved === 0) continue
    const nextStart = nextCode === code ? start : used
    const same = next.find((state) => state.code === nextCode && state.start === nextStart)
    if (same === undefined) {
      next.push({ code: nextCode, start: nextStart, messages: moved, elapsedSeconds })
    } else {
      const total = same.messages + moved
      same.elapsedSeconds = (same.elapsedSeconds * same.messages + elapsedSeconds * moved) / total
      same.messages = total
    }
  }
}
