// Use case: delivers outcomes to the app, by its handler and by the webhook. A delivery that fails is repeated later, only
// for the receivers that do not have the outcome yet.
import { setTimeout as sleep } from 'node:timers/promises'
import { readOutcomeRows } from '../db/outcome-rows.ts'
import type { DeliveryResult, DueOutcome, Receiver } from '../jobs/outcome-job.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Db } from '../postgres/pool.ts'
import { errorFields, type Logger, maskNumbersIn } from '../shared/log.ts'
import { inSpan } from '../shared/tracing.ts'
import { printableLine } from '../shared/printable.ts'
import { type Outcome, toOutcome } from './outcome-event.ts'

/** Rejects if the receiver does not have the outcome. */
export type Receive = (outcome: Outcome) => unknown

export interface DeliveryDeps {
  readonly database: Db
  readonly logger: Logger
  readonly metrics: Metrics
  /** At least one. */
  readonly receivers: ReadonlyMap<Receiver, Receive>
}

/** A receiver that has not finished by then counts as failed, although it may still finish. */
export const RECEIVE_WITHIN_SECONDS = 30

/** The job holds no stack and no long answer. */
const MAX_FAILURE_LENGTH = 500

/** @throws DatabaseError if the rows cannot be read: then nothing was delivered */
export async function deliverOutcomes(
  deps: DeliveryDeps,
  due: readonly DueOutcome[],
): Promise<DeliveryResult[]> {
  if (due.length === 0) return []
  const rows = await readOutcomeRows(
    deps.database,
    due.map(({ job }) => job.message),
  )
  const byId = new Map(rows.map((row) => [row.id, row]))
  return Promise.all(
    due.map(({ job, received }) => {
      // A later message may have this id after a restore.
      const found = byId.get(job.message)
      const row = found?.key === job.key ? found : undefined
      return deliver(deps, toOutcome(job, row), received, row?.traceparent ?? null)
    }),
  )
}

async function deliver(
  { receivers, logger, metrics }: DeliveryDeps,
  outcome: Outcome,
  received: readonly Receiver[],
  traceparent: string | null,
): Promise<DeliveryResult> {
  const missing = [...receivers].filter(([name]) => !received.includes(name))
  const results = await Promise.all(
    missing.map(async ([name, receive]) => ({
      name,
      error: await failureInSpan(name, receive, outcome, traceparent),
    })),
  )
  const failed = results.flatMap(({ name, error }) => (error === null ? [] : [{ name, error }]))
  const { id, messageId, type } = outcome
  for (const { name, error } of failed) {
    logger.warn('Outcome not delivered', {
      outcomeId: id,
      messageId,
      type,
      receiver: name,
      ...errorFields(error),
    })
  }
  metrics.outcomeDeliveries[failed.length === 0 ? 'delivered' : 'failed'].inc()
  const now = results.filter(({ error }) => error === null).map(({ name }) => name)
  return {
    received: [...received, ...now],
    failure:
      failed.length === 0 ? null : failed.map(({ name, error }) => `${name}: ${describe(error)}`).join('; '),
  }
}

function failureInSpan(
  name: Receiver,
  receive: Receive,
  outcome: Outcome,
  traceparent: string | null,
): Promise<Error | null> {
  const { id, messageId, type, status, errorCode } = outcome
  const attributes = {
    'messaging.message.id': `${messageId}`,
    'sms_retry.outcome_id': id,
    'sms_retry.outcome_type': type,
    'sms_retry.receiver': name,
    'sms_retry.status': status,
    'sms_retry.error_code': errorCode,
  }
  const kind = name === 'webhook' ? 'CLIENT' : 'CONSUMER'
  return inSpan('outcome', { kind, attributes, linkTo: traceparent }, async (span) => {
    const failure = await failureOf(receive, outcome)
    if (failure !== null) span?.failWith(failure)
    return failure
  })
}

/** Null if the receiver has the outcome. */
async function failureOf(receive: Receive, outcome: Outcome): Promise<Error | null> {
  const ended = new AbortController()
  const { signal } = ended
  const timeOut = sleep(RECEIVE_WITHIN_SECONDS * 1000, undefined, { signal }).then(() => {
    throw new Error(`not finished within ${RECEIVE_WITHIN_SECONDS} s`)
  })
  // A handler that throws before it returns a promise rejects here as well.
  const receiving = Promise.resolve().then(() => receive(outcome))
  try {
    await Promise.race([receiving, timeOut])
    return null
  } catch (error) {
    return toError(error)
  } finally {
    ended.abort()
    timeOut.catch(() => undefined) // The abort rejects it.
  }
}

/** The app's code can throw any value, also one that cannot be turned into a text. */
function toError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error && typeof thrown.message === 'string') return thrown
    return new Error(String(thrown ?? 'rejected without an error'))
  } catch {
    return new Error('failed with a value that has no text')
  }
}

/** PostgreSQL takes neither a zero byte nor half of a character. */
function describe({ message }: Error): string {
  return printableLine(maskNumbersIn(message)).slice(0, MAX_FAILURE_LENGTH).toWellFormed()
}
