// The counters and histograms of one process, in a registry of their own: prom-client's global registry belongs to the
// app. Labels hold only statuses and the policy's error codes, so the number of series is bounded. instance.ts and
// exposition.ts combine the metrics of all processes.
import type prom from 'prom-client'
import type { Connections } from '../postgres/connection.ts'
import type { Decision } from '../delivery/decision.ts'
import type { Answer, Message } from '../delivery/message.ts'
import { type RetryPolicy, ruleFor } from '../delivery/retry-policy.ts'
import {
  type DeliveryStatus,
  FINAL_STATUSES,
  type FinalStatus,
  isDelivered,
  isFailedAttempt,
  isFailure,
  isFinal,
} from '../delivery/status.ts'
import { Activity } from './activity.ts'
import { CodeCounter } from './code-counter.ts'
import { loadPromClient, type Snapshot, takeSnapshot } from './metrics-snapshot.ts'
import { registerProcessGauges } from './process-gauges.ts'

const CALLBACK_RESULTS = [
  'recorded',
  'ignored',
  'unknown_message',
  'unknown_status',
  'bad_signature',
  'other_account',
  'unreadable',
  'too_large',
  'wrong_type',
  'overloaded',
  'not_recorded',
  'failed',
] as const

const DELIVERY_RESULTS = ['delivered', 'failed'] as const

const RECONCILE_RESULTS = ['rung_again', 'answered', 'absent', 'undecided', 'failed', 'left_out'] as const

const ERROR_CLASSES = ['none', 'retryable', 'permanent', 'unlisted', 'not_processed', 'unknown'] as const
type ErrorClass = (typeof ERROR_CLASSES)[number]

const SUBMISSION_SECONDS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10]
const CALLBACK_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15]
const DELIVERY_SECONDS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 43_200, 86_400, 259_200]
const LATENESS_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800]
const BATCH_SIZES = [1, 2, 5, 10, 20, 50, 100]

/** A counter with its labels set: counting allocates nothing. */
type Count = prom.Counter.Internal
type Counts<Word extends string> = Readonly<Record<Word, Count>>

export class Metrics {
  readonly activity = new Activity()
  /** Status callbacks by result. */
  readonly callbacks: Counts<(typeof CALLBACK_RESULTS)[number]>
  /** Overdue messages by the result of the sweep. */
  readonly reconciled: Counts<(typeof RECONCILE_RESULTS)[number]>
  /** Deliveries of outcomes to the app. One outcome can have several. */
  readonly outcomeDeliveries: Counts<(typeof DELIVERY_RESULTS)[number]>
  readonly #policy: RetryPolicy
  readonly #registry: prom.Registry
  readonly #submissions: ReadonlyMap<string, Count>
  readonly #submissionSeconds: prom.Histogram
  readonly #callbackSeconds: prom.Histogram
  readonly #latenessSeconds: prom.Histogram
  readonly #batchSizes: prom.Histogram
  readonly #retries: CodeCounter
  readonly #failures: CodeCounter
  readonly #outcomes: { readonly first: Counts<FinalStatus>; readonly retried: Counts<FinalStatus> }
  readonly #deliverySeconds: prom.Histogram

  /** @param connections returns the current connection counts of the pool */
  constructor(policy: RetryPolicy, connections: () => Connections) {
    const { Registry, Counter, Gauge, Histogram } = loadPromClient()
    const registry = new Registry()
    const registers = [registry]
    const histogram = (name: string, help: string, buckets: number[]): prom.Histogram =>
      new Histogram({ name: `sms_retry_${name}`, help, buckets, registers })
    const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
      new Counter({ name: `sms_retry_${name}`, help, labelNames, registers })
    const countsOf = <Word extends string>(words: readonly Word[], bind: (word: Word) => Count) =>
      Object.fromEntries(words.map((word) => [word, fromZero(bind(word))])) as Record<Word, Count>

    this.#policy = policy
    this.#registry = registry
    const submissions = counter('submissions_total', 'Requests to Twilio to send a message, by outcome.', [
      'outcome',
      'error_class',
    ])
    this.#submissions = new Map(
      ERROR_CLASSES.map((errorClass) => {
        const labels = { outcome: OUTCOMES[errorClass], error_class: errorClass }
        return [errorClass, fromZero(submissions.labels(labels))]
      }),
    )
    this.#submissionSeconds = histogram(
      'submission_duration_seconds',
      'Time from a request to Twilio to its answer or time-out.',
      SUBMISSION_SECONDS,
    )
    const callbacks = counter('callbacks_total', 'Status callbacks, by result.', ['result'])
    this.callbacks = countsOf(CALLBACK_RESULTS, (result) => callbacks.labels({ result }))
    this.#callbackSeconds = histogram(
      'callback_duration_seconds',
      'Time from the arrival of a status callback to its answer.',
      CALLBACK_SECONDS,
    )
    const byCode = (name: string, help: string) => new CodeCounter(counter(name, help, ['code']), policy)
    this.#retries = byCode('retries_scheduled_total', 'Retries scheduled, by the error code of the failure.')
    this.#failures = byCode(
      'failures_total',
      'Messages that failed for good, by the error code of the latest failed attempt.',
    )
    const outcomes = counter('outcomes_total', 'Messages that reached a final status.', ['status', 'retried'])
    this.#outcomes = {
      first: countsOf(FINAL_STATUSES, (status) => outcomes.labels({ status, retried: 'no' })),
      retried: countsOf(FINAL_STATUSES, (status) => outcomes.labels({ status, retried: 'yes' })),
    }
    this.#deliverySeconds = histogram(
      'delivery_duration_seconds',
      'Time from the creation of a message to its delivery, including retries.',
      DELIVERY_SECONDS,
    )
    this.#latenessSeconds = histogram(
      'attempt_lateness_seconds',
      'Time from the due time of an attempt to its claim.',
      LATENESS_SECONDS,
    )
    this.#batchSizes = histogram('batch_size', 'Events that were recorded in one transaction.', BATCH_SIZES)
    const reconciled = counter('reconciled_total', 'Overdue messages, by the result of the sweep.', [
      'result',
    ])
    this.reconciled = countsOf(RECONCILE_RESULTS, (result) => reconciled.labels({ result }))
    const deliveries = counter('outcome_deliveries_total', 'Deliveries of outcomes to the app, by result.', [
      'result',
    ])
    this.outcomeDeliveries = countsOf(DELIVERY_RESULTS, (result) => deliveries.labels({ result }))
    registerProcessGauges(Gauge, registers, connections)
  }

  /** Counts a request to Twilio. */
  submitted(answer: Answer, durationMs: number): void {
    this.#submissions.get(this.#classOf(answer))?.inc()
    this.#submissionSeconds.observe(durationMs / 1000)
  }

  #classOf(answer: Answer): ErrorClass {
    if (answer.outcome === 'accepted') return 'none'
    if (answer.outcome !== 'rejected') return answer.outcome
    const { errorCode } = answer
    if (errorCode === null || !this.#policy.rules.has(errorCode)) return 'unlisted'
    return ruleFor(this.#policy, errorCode).action === 'stop' ? 'permanent' : 'retryable'
  }

  /** Counts a due attempt that was claimed. */
  claimed({ nextRetryAt, createdAt }: Message, claimedAt: Date): void {
    this.activity.claimed()
    const dueAt = nextRetryAt ?? createdAt
    this.#latenessSeconds.observe(Math.max(0, claimedAt.getTime() - dueAt.getTime()) / 1000)
  }

  /** Observes the answer to a request of the status callback endpoint. */
  callbackAnswered(durationMs: number): void {
    this.#callbackSeconds.observe(durationMs / 1000)
  }

  /** Counts a batch of events that were recorded in one transaction. */
  batched(events: number): void {
    this.#batchSizes.observe(events)
  }

  /** Counts a message that had a final status when it was recorded, such as one that the allow-list lacks. */
  neverSent(status: FinalStatus): void {
    this.#outcomes.first[status].inc()
    if (isFailedForGood(status)) this.#failures.inc(null)
  }

  /** Counts a decision that was recorded. */
  decided(before: Message, decision: Decision): void {
    if (decision.kind === 'ignore') return
    const { message } = decision
    if (decision.kind === 'schedule' && message.retryCount > before.retryCount)
      this.#retries.inc(failureCodeOf(message))
    if (message.status === before.status || !isFinal(message.status)) return
    const outcomes = message.retryCount > 0 ? this.#outcomes.retried : this.#outcomes.first
    outcomes[message.status].inc()
    if (isDelivered(message.status) && !isDelivered(before.status)) this.#delivered(message)
    if (isFailedForGood(message.status) && !isFailedForGood(before.status))
      this.#failures.inc(failureCodeOf(message))
  }

  #delivered({ attempts, createdAt }: Message): void {
    const times = attempts.find(({ status }) => isDelivered(status))?.times
    const at = times?.delivered ?? times?.read
    if (at === undefined) return
    this.#deliverySeconds.observe(Math.max(0, Date.parse(at) - createdAt.getTime()) / 1000)
  }

  snapshot(): Promise<Snapshot> {
    return takeSnapshot(this.#registry)
  }
}

/** Null if no attempt failed, or if Twilio gave no code. */
function failureCodeOf({ attempts }: Message): number | null {
  return attempts.findLast(({ status }) => isFailedAttempt(status))?.errorCode ?? null
}

const isFailedForGood = (status: DeliveryStatus): boolean => isFailure(status) && isFinal(status)

const OUTCOMES: Readonly<Record<ErrorClass, Answer['outcome']>> = {
  none: 'accepted',
  retryable: 'rejected',
  permanent: 'rejected',
  unlisted: 'rejected',
  not_processed: 'not_processed',
  unknown: 'unknown',
}

/** Starts the series at 0, because Prometheus sees an increase only between two samples. */
function fromZero(count: Count): Count {
  count.inc(0)
  return count
}
