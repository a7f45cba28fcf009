// The figures of one policy, from the messages as it left them.
import { ruleFor, createRetryPolicy } from '../src/delivery/retry-policy.ts'
import { isDelivered } from '../src/delivery/status.ts'
import { type Target, targetsOf } from '../src/delivery/targets.ts'
import type { PlayedMessage } from './play.ts'
import type { VirtualMessage } from './virtual-month.ts'

/** A message whose cause ends later counts as one that could not be delivered. */
export const HORIZON_HOURS = 72

export interface Figures {
  readonly messages: number
  readonly delivered: number
  /** Messages that could be delivered within the horizon. */
  readonly possible: number
  /** The specification's criteria. `delivered` is the share of the messages that could be delivered. */
  readonly targets: readonly Target[]
  readonly retried: number
  readonly retries: number
  /** Retried messages that were delivered. */
  readonly recovered: number
  /** Messages that Twilio or a carrier failed for a cause that ended within the horizon, and those that were delivered. */
  readonly recoverable: number
  readonly recoveredOfRecoverable: number
  /** Retries of messages that could not be delivered: after a code that the default table stops, after 30003, after others. */
  readonly vainRetries: { readonly stopped: number; readonly unreachable: number; readonly other: number }
  readonly segments: number
  readonly segmentsOfRetries: number
  /** Seconds from the first attempt to the delivery of a message whose first attempt failed. Null without any. */
  readonly medianSeconds: number | null
  readonly percentile90Seconds: number | null
  /** Messages that a retry delivered, and whose first attempt arrived as well. */
  readonly twice: number
}

export function figuresOf(played: readonly PlayedMessage[]): Figures {
  const retried = played.filter(isRetried)
  const possible = played.filter(({ truth }) => isPossible(truth))
  const recoverable = possible.filter(({ truth }) => truth.cause !== null && !isUnprocessed(truth))
  const delays = recoverable
    .filter(isReceived)
    .map(deliverySeconds)
    .toSorted((one, next) => one - next)
  return {
    messages: played.length,
    delivered: played.filter(isReceived).length,
    possible: possible.length,
    targets: criteriaOf(played, possible),
    retried: retried.length,
    retries: retriesOf(retried),
    recovered: retried.filter(isReceived).length,
    recoverable: recoverable.length,
    recoveredOfRecoverable: recoverable.filter(isReceived).length,
    vainRetries: vainRetriesOf(retried.filter(({ truth }) => !isPossible(truth))),
    segments: sum(played, segmentsOf),
    segmentsOfRetries: sum(retried, ({ truth, message }) => segmentsOfFrom(1, { truth, message })),
    medianSeconds: quantile(delays, 0.5),
    percentile90Seconds: quantile(delays, 0.9),
    twice: retried.filter((one) => one.truth.arrivesLate && isReceived(one)).length,
  }
}

/** Whether the message could be delivered within the horizon after its first failure. */
export function isPossible({ cause, failsAtMs, recoversAtMs }: VirtualMessage): boolean {
  return cause === null || recoversAtMs - failsAtMs <= HORIZON_HOURS * 3_600_000
}

/** A request that Twilio did not process. Repeating it uses up no retry. */
export function isUnprocessed({ cause }: VirtualMessage): boolean {
  return cause?.failsBy === 'not_processed' || cause?.failsBy === 'no_answer'
}

/** As the dashboard counts them, but the share of the delivered is that of the messages that could be delivered. */
function criteriaOf(played: readonly PlayedMessage[], possible: readonly PlayedMessage[]): readonly Target[] {
  const [delivered] = targetsOf(countsOf(possible))
  const [, ...others] = targetsOf(countsOf(played))
  return delivered === undefined ? [] : [delivered, ...others]
}

function countsOf(played: readonly PlayedMessage[]): Parameters<typeof targetsOf>[0] {
  const retried = played.filter(isRetried)
  const received = played.filter(isReceived)
  const deliveredByRetry = retried.filter(isReceived).length
  return {
    deliveredAtFirst: received.length - deliveredByRetry,
    deliveredByRetry,
    failed: played.length - received.length,
    failedAfterRetry: retried.length - deliveredByRetry,
    retried: retried.length,
    retries: retriesOf(retried),
  }
}

const isRetried = ({ message }: PlayedMessage): boolean => message.retryCount > 0
const isReceived = ({ message }: PlayedMessage): boolean => isDelivered(message.status)

const TABLE = createRetryPolicy()
const UNREACHABLE = 30003

function vainRetriesOf(vain: readonly PlayedMessage[]): Figures['vainRetries'] {
  const retriesWith = (isOf: (code: number | null) => boolean): number =>
    retriesOf(vain.filter(({ truth }) => isOf(truth.code)))
  const stopped = retriesWith((code) => ruleFor(TABLE, code).action === 'stop')
  const unreachable = retriesWith((code) => code === UNREACHABLE)
  return { stopped, unreachable, other: retriesOf(vain) - stopped - unreachable }
}

function retriesOf(played: readonly PlayedMessage[]): number {
  return sum(played, ({ message }) => message.retryCount)
}

const segmentsOf = (one: PlayedMessage): number => segmentsOfFrom(0, one)

/** The segments of the attempts from this number on. Twilio bills no attempt that it did not accept. */
function segmentsOfFrom(first: number, { truth, message }: PlayedMessage): number {
  const accepted = message.attempts.filter(({ number, sid }) => number >= first && sid !== null)
  return accepted.length * truth.segments
}

function deliverySeconds({ truth, message }: PlayedMessage): number {
  const delivered = message.attempts.findLast(({ status }) => isDelivered(status))
  return (Date.parse(delivered?.times.delivered ?? '') - truth.createdAtMs) / 1000
}

/** The smallest value that at least this share of the sorted values does not exceed. */
function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0)
}
