// Use case: the app adds messages in its own transaction, each with its job. After the commit, a worker submits them.
import { insertMessages, readTransactionTime } from '../db/insert-messages.ts'
import { findKeyedMessages, type KeyedMessage } from '../db/messages.ts'
import type { UserIdColumn } from '../db/user-id-column.ts'
import { dependsOnTime } from '../delivery/gate.ts'
import type { Queue } from '../jobs/queue.ts'
import type { Db } from '../postgres/pool.ts'
import type { ContextDeps } from '../recording/event-batch.ts'
import { DatabaseError } from '../shared/errors.ts'
import { type CheckedMessage, checkMessage, checkMessages, type MessageInput } from './message-input.ts'
import { firstJob, firstOutcome, newKey, planMessage, toNewMessage } from './plan-message.ts'
import { firstOfEachKey, NO_ROW_WITH_KEY, requireSameMessage } from './repeated-key.ts'

export interface EnqueueResult {
  readonly id: number
  /** False if the idempotency key already existed: nothing was added. */
  readonly created: boolean
}

export interface EnqueueDeps extends ContextDeps {
  readonly queue: Queue
  readonly userIdColumn: UserIdColumn
}

/** @throws InvalidMessageError if the input is invalid: nothing was written */
export async function enqueueMessage(deps: EnqueueDeps, tx: Db, input: MessageInput): Promise<EnqueueResult> {
  const [result] = await insertWithJobs(deps, tx, [checkMessage(input, deps)])
  if (result === undefined) throw new Error('one message gave no result')
  return result
}

/** The rows of one statement: more save hardly any time, and need more memory. */
const CHUNK_SIZE = 1_000

/**
 * Adds many messages in a few statements. All are checked before anything is written.
 *
 * @returns the results in the order of the messages
 * @throws InvalidMessageError with the index of every invalid message: nothing was written
 */
export async function enqueueMessages(
  deps: EnqueueDeps,
  tx: Db,
  inputs: readonly MessageInput[],
): Promise<EnqueueResult[]> {
  const messages = await checkMessages(inputs, deps)
  const firsts = firstOfEachKey(messages)
  const unique = [...firsts.values()].sort(compareKeys)
  const chunks = Array.from({ length: Math.ceil(unique.length / CHUNK_SIZE) }, (_, i) =>
    unique.slice(i * CHUNK_SIZE, (i + 1) * CHUNK_SIZE),
  )
  // Otherwise, a key that is in use would be found after others were written.
  for (const chunk of chunks) await findExisting(tx, chunk)
  const added: EnqueueResult[] = []
  for (const chunk of chunks) added.push(...(await insertWithJobs(deps, tx, chunk)))
  const results = new Map(unique.map((message, i) => [message, added[i]]))
  return messages.map((message, i) => {
    const first = firsts.get(message.idempotencyKey ?? i) ?? message
    const result = results.get(first)
    if (result === undefined) throw new Error('a message has no result')
    return { id: result.id, created: result.created && message === first }
  })
}

/**
 * An insert waits for other transactions that have inserted its key. In one order, two calls with the same keys cannot
 * wait for each other. Messages without a key come first, and keep their order.
 */
function compareKeys({ idempotencyKey: a }: CheckedMessage, { idempotencyKey: b }: CheckedMessage): number {
  if (a === b) return 0
  return a === null || (b !== null && a < b) ? -1 : 1
}

/** @param messages must not share an idempotency key */
async function insertWithJobs(
  deps: EnqueueDeps,
  tx: Db,
  messages: readonly CheckedMessage[],
): Promise<EnqueueResult[]> {
  const { circumstances, policy, queue, userIdColumn } = deps
  // Most messages save this statement.
  const isTimed = messages.some((message) => dependsOnTime(message, circumstances))
  const now = isTimed ? await readTransactionTime(tx) : new Date(0)
  const plans = messages.map((message) => ({ message, key: newKey(), plan: planMessage(deps, message, now) }))
  const rows = plans.map(({ message, key, plan }) => toNewMessage(message, key, plan, null, policy))
  const inserted = await insertMessages(tx, rows, userIdColumn.type)
  const added = plans.flatMap((planned, i) => {
    const row = inserted[i] ?? null
    return row === null ? [] : [{ ...planned, ...row }]
  })
  const waiting = added.filter(({ plan }) => plan.passage.kind !== 'never')
  await queue.schedule(
    tx,
    waiting.map(({ id, key, plan }) => firstJob(id, key, plan)),
  )
  const outcomes = added.map(({ id, key, message, plan, insertedAt }) =>
    firstOutcome(id, key, message, plan, insertedAt),
  )
  await queue.outcomes.add(
    tx,
    outcomes.filter((outcome) => outcome !== null),
  )
  const repeated = messages.filter((_, i) => inserted[i] === null)
  const existing = await findExisting(tx, repeated)
  return messages.map((message, i) => {
    const row = inserted[i] ?? null
    if (row !== null) return { id: row.id, created: true }
    const found = existing.get(message.idempotencyKey)
    if (found === undefined) throw new DatabaseError(NO_ROW_WITH_KEY)
    return { id: found.id, created: false }
  })
}

/**
 * The rows that have these messages' idempotency keys, by key.
 *
 * @throws IdempotencyKeyReusedError if one belongs to another message
 */
async function findExisting(
  tx: Db,
  messages: readonly CheckedMessage[],
): Promise<ReadonlyMap<string | null, KeyedMessage>> {
  const byKey = new Map(messages.map((message) => [message.idempotencyKey, message]))
  const keys = messages.flatMap(({ idempotencyKey }) => idempotencyKey ?? [])
  const existing = new Map((await findKeyedMessages(tx, keys)).map((row) => [row.idempotencyKey, row]))
  for (const row of existing.values()) {
    const message = byKey.get(row.idempotencyKey)
    if (message !== undefined) requireSameMessage(row, message)
  }
  return existing
}
