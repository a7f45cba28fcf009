// The history of failed messages, in the form from which a policy is judged: which failures each message had, when it was
// retried, and how it ended. Messages with the same history are one entry. db/history.ts reads it from the table; historyOf
// builds it from messages in memory.
import type { Attempt, Message } from '../delivery/message.ts'
import { isDelivered, isFailedAttempt, isFinal } from '../delivery/status.ts'
import { secondsBetween } from '../delivery/seconds.ts'

/** Null stands for a failure without a code. */
export type Code = number | null

export interface Retry {
  /** From the failure before it to its submission. */
  readonly waitSeconds: number
  /** From the message's first failure to its submission. */
  readonly elapsedSeconds: number
}

/** Messages with the same codes, delays and end. */
export interface Path {
  /** The code of each failed attempt, in order. Failures of the account are left out. */
  readonly codes: readonly Code[]
  /** The retries that were made. Retry i followed the failure with code i. */
  readonly retries: readonly Retry[]
  /** `open`: it is in progress, was canceled, or its result was never reported. */
  readonly end: 'delivered' | 'failed' | 'open'
  /** The message's own limit of retries. */
  readonly maxRetries: number
  /** From its first failure to its deadline, rounded down; null for none. */
  readonly remainingSeconds: number | null
  readonly messages: number
  /** The messages whose segments are known, and the sum of their segments per attempt. */
  readonly measured: number
  readonly segments: number
}

/** Messages that failed, and say nothing about the policy. */
export interface LeftOut {
  /** Only the account failed, not the message. */
  readonly account: number
  /** The first attempt was reported as failed, and as delivered later. */
  readonly corrected: number
  /** The app made the first attempt, or the times are missing. */
  readonly untimed: number
  /** Retries by hand. The message counts up to this retry. */
  readonly byHand: number
}

export interface History {
  readonly paths: readonly Path[]
  readonly leftOut: LeftOut
  /** False if there were more messages than may be read. */
  readonly isComplete: boolean
}

/** An attempt, with the segments that Twilio billed for it, if they are known. */
type MeasuredAttempt = Attempt & { readonly segments?: number | null }

/** The part of a message that a history needs. */
export type EndedMessage = Pick<Message, 'status' | 'maxRetries' | 'deadline'> & {
  readonly attempts: readonly MeasuredAttempt[]
}

export function historyOf(messages: Iterable<EndedMessage>): History {
  const builder = new HistoryBuilder()
  for (const message of messages) builder.add(message)
  return builder.build(true)
}

/** The retries that were made, and those of them whose result was never reported. */
export function openRetriesOf({ paths }: History): { readonly open: number; readonly retries: number } {
  let [open, retries] = [0, 0]
  for (const path of paths) {
    retries += path.retries.length * path.messages
    // Each other retry is followed by a failure with a code, or is the delivery.
    if (path.end === 'open' && path.retries.length === path.codes.length) open += path.messages
  }
  return { open, retries }
}

interface Group {
  readonly path: Omit<Path, 'messages' | 'measured' | 'segments'>
  messages: number
  measured: number
  segments: number
}

/** Groups messages as they are read, so that memory grows with the number of different histories only. */
export class HistoryBuilder {
  readonly #groups = new Map<string, Group>()
  readonly #leftOut = { account: 0, corrected: 0, untimed: 0, byHand: 0 }

  add(message: EndedMessage): void {
    const read = readPath(message)
    if (typeof read === 'string') {
      if (read !== 'no_failure') this.#leftOut[read] += 1
      return
    }
    const { path, isCutByHand } = read
    if (isCutByHand) this.#leftOut.byHand += 1
    const key = JSON.stringify(path)
    const group = this.#groups.get(key) ?? { path, messages: 0, measured: 0, segments: 0 }
    this.#groups.set(key, group)
    group.messages += 1
    const segments = message.attempts.find((attempt) => (attempt.segments ?? 0) > 0)?.segments
    if (segments == null) return
    group.measured += 1
    group.segments += segments
  }

  build(isComplete: boolean): History {
    const paths = [...this.#groups.values()].map(({ path, ...sums }) => ({ ...path, ...sums }))
    return { paths, leftOut: { ...this.#leftOut }, isComplete }
  }
}

type ReadPath =
  | 'no_failure'
  | 'account'
  | 'corrected'
  | 'untimed'
  | { readonly path: Group['path']; readonly isCutByHand: boolean }

function readPath({ attempts, status, maxRetries, deadline }: EndedMessage): ReadPath {
  if (attempts.some((attempt) => isDelivered(attempt.status) && failureTime(attempt) !== null))
    return 'corrected'
  const own = attempts.filter((attempt) => attempt.status !== 'pending' && !attempt.excused)
  const first = own.findIndex((attempt) => isFailedAttempt(attempt.status))
  if (first === -1) {
    if (attempts.length === 0 && hasFailed(status)) return 'untimed'
    return attempts.some((attempt) => isFailedAttempt(attempt.status)) ? 'account' : 'no_failure'
  }
  const trail = readTrail(own.slice(first), attempts)
  if (trail === null) return 'untimed'

  const { failedAt, codes, retries, next } = trail
  const endsHere = isFinal(status) && status !== 'canceled' ? 'failed' : 'open'
  const end = next === 'by_hand' ? 'failed' : (next ?? endsHere)
  const remainingSeconds =
    deadline === null ? null : roundedDown(Math.max(secondsBetween(failedAt, deadline), 0))
  return { path: { codes, retries, end, maxRetries, remainingSeconds }, isCutByHand: next === 'by_hand' }
}

/** Of a row that the app wrote. */
const hasFailed = (status: Message['status']): boolean =>
  status === 'undelivered' || status === 'failed' || status === 'retrying'

/** What followed the first failure. */
interface Trail {
  readonly failedAt: Date
  readonly codes: readonly Code[]
  readonly retries: readonly Retry[]
  /** How the last of these retries ended, if it did not fail; or what came after it. Null for nothing. */
  readonly next: 'delivered' | 'open' | 'by_hand' | null
}

/** Null if a time is missing. */
function readTrail([first, ...later]: readonly Attempt[], all: readonly Attempt[]): Trail | null {
  const start = failureTime(first)
  if (first === undefined || start === null) return null
  const codes: Code[] = [first.errorCode]
  const retries: Retry[] = []
  let failedAt = start
  for (const attempt of later) {
    const before = all.find(({ number }) => number === attempt.number - 1)
    if (isByHand(attempt, before)) return { failedAt: start, codes, retries, next: 'by_hand' }
    const submittedAt = timeOf(attempt.times.submitting)
    if (submittedAt === null) return null
    retries.push({
      waitSeconds: rounded(secondsBetween(failedAt, submittedAt)),
      elapsedSeconds: rounded(secondsBetween(start, submittedAt)),
    })
    if (isDelivered(attempt.status)) return { failedAt: start, codes, retries, next: 'delivered' }
    if (!isFailedAttempt(attempt.status)) return { failedAt: start, codes, retries, next: 'open' }
    const failure = failureTime(attempt)
    if (failure === null) return null
    codes.push(attempt.errorCode)
    failedAt = failure
  }
  return { failedAt: start, codes, retries, next: null }
}

/**
 * The policy schedules a retry in the transaction that records the failure. A person does so later. Such a retry is no
 * trial of the policy: the person may know that the handset is back.
 */
function isByHand(attempt: Attempt, before: Attempt | undefined): boolean {
  const scheduledAt = timeOf(attempt.times.pending)
  const failedAt = failureTime(before)
  return scheduledAt !== null && failedAt !== null && secondsBetween(failedAt, scheduledAt) > BY_HAND_SECONDS
}

const BY_HAND_SECONDS = 1

function failureTime(attempt: Attempt | undefined): Date | null {
  return timeOf(attempt?.times.undelivered ?? attempt?.times.failed)
}

function timeOf(iso: string | undefined): Date | null {
  return iso === undefined ? null : new Date(iso)
}

/** Times within 5 % are one entry of the history. */
const STEP = Math.log(1.05)

const rounded = (seconds: number): number =>
  seconds < 1 ? 0 : Number(Math.exp(Math.round(Math.log(seconds) / STEP) * STEP).toPrecision(4))

const roundedDown = (seconds: number): number =>
  seconds < 1 ? 0 : Number(Math.exp(Math.floor(Math.log(seconds) / STEP) * STEP).toPrecision(4))
