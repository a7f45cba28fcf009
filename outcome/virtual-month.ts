// Draws the messages of a virtual month: when each is sent, whether and how it fails, and when the cause ends. All of it is
// drawn before a policy is known, so that each policy meets the same messages.
import { createRandom, type Random } from '../src/simulator/seeded-random.ts'
import type { Cause } from './cause.ts'
import { drawLogNormal, drawRecoveryMs } from './recovery.ts'

export interface MonthOptions {
  readonly causes: readonly Cause[]
  readonly messages: number
  readonly days: number
  readonly seed: number
  /** True if carriers keep a message for an unreachable handset for one to three days before they report 30003. */
  readonly carriersStore?: boolean
}

export interface VirtualMessage {
  readonly id: number
  readonly to: string
  readonly createdAtMs: number
  /** Null for a message that is delivered at the first attempt. */
  readonly cause: Cause | null
  /** What Twilio reports for an attempt that fails. */
  readonly code: number | null
  /** When the first attempt is reported as failed; infinity without a cause. */
  readonly failsAtMs: number
  /** Until this time, the recipient cannot be reached. Minus infinity without a cause, infinity if it never ends. */
  readonly recoversAtMs: number
  readonly segments: number
  /** The first attempt was reported as failed, and arrives when the cause ends. */
  readonly arrivesLate: boolean
  readonly drawsOf: (attempt: number) => AttemptDraws
}

/** The random numbers of one attempt. They do not depend on the policy. */
export interface AttemptDraws {
  /** In [0, 1), for the policy's jitter. */
  readonly jitter: number
  /** From the request until Twilio's answer. */
  readonly answerMs: number
  /** From the answer until the report of its failure or delivery. */
  readonly failureMs: number
  readonly deliveryMs: number
  /** How long the carrier keeps the message for a recipient who cannot be reached. */
  readonly storedMs: number
}

/** June has no change of clocks in the United States. */
const MONTH_START_MS = Date.parse('2026-06-01T00:00:00-04:00')
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Messages are sent evenly between these hours, New York time. */
const FIRST_HOUR = 8
const LAST_HOUR = 21

const ANSWER_MS = 200

/** A month of messages, in the order in which they are sent. The causes have exactly their shares of it. */
export function drawMonth(options: MonthOptions): readonly VirtualMessage[] {
  const random = createRandom(hash(options.seed, 0))
  const failures = drawFailures(options, random)
  const slots = shuffled(options.messages, random)
  const failureOf = new Map(failures.map((failure, i) => [slots[i] ?? 0, failure]))
  const outages = drawOutages(options, random)
  return Array.from({ length: options.messages }, (_, i) =>
    drawMessage(hash(options.seed, i + 1), failureOf.get(i) ?? null, outages, options),
  )
    .toSorted((one, other) => one.createdAtMs - other.createdAtMs)
    .map((message, i) => ({ ...message, id: i + 1, to: `+1${2_000_000_000 + i}` }))
}

interface Failure {
  readonly cause: Cause
  readonly code: number | null
}

/** Counts are rounded, not drawn: chance in the shares would hide the differences between the policies. */
function drawFailures({ causes, messages }: MonthOptions, random: Random): readonly Failure[] {
  return causes.flatMap((cause) => {
    const count = Math.round(cause.share * messages)
    const order = shuffled(count, random)
    return order.map((place) => ({ cause, code: codeAt(cause, (place + 0.5) / count) }))
  })
}

function codeAt({ codes }: Cause, place: number): number | null {
  let upTo = 0
  for (const { code, share } of codes) {
    upTo += share
    if (place < upTo) return code
  }
  const last = codes.at(-1)
  if (last === undefined) throw new Error('A cause needs a code')
  return last.code
}

/** When each outage of the month ends: one to three. */
function drawOutages({ days }: MonthOptions, random: Random): readonly number[] {
  const count = 1 + Math.floor(random() * 3)
  return Array.from({ length: count }, () => drawSendTime(days, random))
}

type Drawn = Omit<VirtualMessage, 'id' | 'to'>

function drawMessage(
  seed: number,
  failure: Failure | null,
  outages: readonly number[],
  { days, carriersStore = false }: MonthOptions,
): Drawn {
  const random = createRandom(seed)
  const sentAtMs = drawSendTime(days, random)
  const segments = drawSegments(random)
  const code = failure?.code ?? null
  const drawsOf = (attempt: number): AttemptDraws => drawAttempt(hash(seed, attempt), code, carriersStore)
  const healthy = {
    createdAtMs: sentAtMs,
    cause: null,
    code,
    failsAtMs: Number.POSITIVE_INFINITY,
    recoversAtMs: Number.NEGATIVE_INFINITY,
    segments,
    arrivesLate: false,
    drawsOf,
  }
  if (failure === null) return healthy
  const { cause } = failure
  const { answerMs, failureMs } = drawsOf(0)
  const untilFailure = answerMs + (cause.failsBy === 'report' ? failureMs : 0)
  const arrivesLate = random() < (cause.lateCopyShare ?? 0)
  const outageEnd = outages[Math.floor(random() * outages.length)]
  if (cause.isOutage === true && outageEnd !== undefined) {
    // All messages of an outage recover at its end, so they are sent at different times before it.
    const createdAtMs = outageEnd - drawRecoveryMs(cause.recovery, outageEnd, random) - untilFailure
    const failsAtMs = createdAtMs + untilFailure
    return { ...healthy, cause, createdAtMs, failsAtMs, recoversAtMs: outageEnd, arrivesLate }
  }
  const failsAtMs = sentAtMs + untilFailure
  const recoversAtMs = failsAtMs + drawRecoveryMs(cause.recovery, failsAtMs, random)
  return { ...healthy, cause, failsAtMs, recoversAtMs, arrivesLate }
}

/** Evenly over the days, and over the hours in which messages are sent. */
function drawSendTime(days: number, random: Random): number {
  const day = Math.floor(random() * days)
  const hour = FIRST_HOUR + random() * (LAST_HOUR - FIRST_HOUR)
  return MONTH_START_MS + day * DAY_MS + Math.floor(hour * HOUR_MS)
}

/** 80 % one, 12 % two, 5 % three, 3 % four: 1.31 in the mean. */
function drawSegments(random: Random): number {
  const place = random()
  if (place < 0.8) return 1
  if (place < 0.92) return 2
  return place < 0.97 ? 3 : 4
}

const UNREACHABLE = 30003
const CARRIER_TIMED_OUT = 30410
const REPORT_SIGMA = 1

function drawAttempt(seed: number, code: number | null, carriersStore: boolean): AttemptDraws {
  const random = createRandom(seed)
  const jitter = random()
  const deliveryMs = 1000 * drawLogNormal(10, REPORT_SIGMA, random)
  const usualMs = 1000 * drawLogNormal(code === UNREACHABLE ? 30 : 10, REPORT_SIGMA, random)
  const storedHours = 24 + 48 * random()
  const storedMs = carriersStore && code === UNREACHABLE ? storedHours * HOUR_MS : 0
  const failureMs = code === CARRIER_TIMED_OUT ? 60_000 : usualMs
  return { jitter, answerMs: ANSWER_MS, failureMs: storedMs + failureMs, deliveryMs, storedMs }
}

/** The whole numbers below `count` in random order (Fisher-Yates). */
function shuffled(count: number, random: Random): number[] {
  const numbers = Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1))
    const [one = i, other = j] = [numbers[i], numbers[j]]
    numbers[i] = other
    numbers[j] = one
  }
  return numbers
}

/** Seeds of different streams must not be near each other: mulberry32 would give overlapping numbers. */
function hash(one: number, other: number): number {
  let mixed = Math.imul(one ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(other + 1, 0xc2b2ae35)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
