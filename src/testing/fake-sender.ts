// A sender in memory, for the tests of an app. It checks input as the real sender does, and returns scripted results. It
// has no database and makes no request, so it loads neither pg, pg-boss nor the twilio package.
import type { UserIdColumn } from '../db/user-id-column.ts'
import type { Circumstances } from '../delivery/decision.ts'
import { createRetryPolicy, maxRetriesOf } from '../delivery/retry-policy.ts'
import {
  type CheckedMessage,
  checkMessage,
  checkMessages,
  type InputRules,
} from '../messages/message-input.ts'
import type { EnqueueResult } from '../messages/enqueue-messages.ts'
import { checkReason, checkRef } from '../messages/message-ref.ts'
import { type Plan, planMessage } from '../messages/plan-message.ts'
import { firstOfEachKey } from '../messages/repeated-key.ts'
import type { CallerTransaction } from '../postgres/pool.ts'
import type { Sender } from '../processes/sender.ts'
import { DatabaseError } from '../shared/errors.ts'
import { zonesOfNumber } from '../shared/recipient-zones.ts'
import { type FakeMessage, type PassedMessage, toFakeView } from './fake-message.ts'
import { FakeStore } from './fake-store.ts'
import { type FakeResult, type Script, Scripts } from './scripts.ts'

export interface FakeSenderOptions {
  /** The type of your column `user_id`, and whether it allows null. Default: `integer`, not null. */
  readonly userIdColumn?: Partial<UserIdColumn>
  /** As the option of `createSender`: the IANA time zone of numbers whose own time zone is not known. */
  readonly sendWindowFallbackTimeZone?: string
}

export interface FakeSender extends Sender {
  /** Every message that was sent or enqueued, oldest first. A repeated idempotency key adds none. */
  readonly messages: readonly FakeMessage[]
  /**
   * Sets results of `send`, or an error. Without a script, every message is `accepted`. Of several scripts that match a
   * message, the latest one is used.
   *
   * @example
   * fake.script({ to: '+12065550199', result: { status: 'failed', errorCode: 21610 } })
   * fake.script({ error: new DatabaseError('The database is unavailable'), times: 1 })
   * fake.script(({ body }) => (body.includes('sale') ? { status: 'failed', errorCode: 30007 } : undefined))
   */
  script(script: Script): void
  /** Removes all messages and scripts, and opens the sender again after `close()`. */
  reset(): void
}

/**
 * Creates a sender for tests. It differs from the real one in three ways: it ignores send windows and holds, it does not
 * use `db`, so a rollback undoes nothing, and it makes no retries.
 *
 * @example
 * const fake = createFakeSender()
 * await confirmOrder(fake, order)
 * expect(fake.messages).toMatchObject([{ to: order.phone }])
 */
export function createFakeSender(options: FakeSenderOptions = {}): FakeSender {
  const rules = rulesOf(options)
  const scripts = new Scripts()
  const store = new FakeStore()
  let isClosed = false
  const enqueue = (checked: CheckedMessage, message: PassedMessage): EnqueueResult => {
    const existing = store.findExisting(checked)
    if (existing !== null) return { id: existing.id, created: false }
    const plan = planOf(checked, rules.circumstances)
    return { id: store.add(checked, message, waitingResult(plan), plan.now).id, created: true }
  }
  return {
    get messages() {
      return store.messages()
    },
    async send(input) {
      if (isClosed) throw new DatabaseError(CLOSED)
      const checked = checkMessage(input, rules)
      const existing = store.findExisting(checked)
      if (existing !== null) return { ...existing.result }
      const plan = planOf(checked, rules.circumstances)
      const result = plan.passage.kind === 'now' ? scripts.resultOf(input) : waitingResult(plan)
      return { ...store.add(checked, { ...input, via: 'send', db: null }, result, plan.now).result }
    },
    async enqueue(input, { db }) {
      requireTransaction(db)
      const checked = checkMessage(input, rules)
      scripts.throwErrorFor(input)
      return enqueue(checked, { ...input, via: 'enqueue', db })
    },
    async enqueueMany(inputs, { db }) {
      requireTransaction(db)
      const checked = await checkMessages(inputs, rules)
      // All or none: every key is checked before the first message is added.
      for (const message of firstOfEachKey(checked).values()) store.findExisting(message)
      for (const input of inputs) scripts.throwErrorFor(input)
      return inputs.flatMap((input, i) => {
        const message = checked[i]
        return message === undefined ? [] : [enqueue(message, { ...input, via: 'enqueueMany', db })]
      })
    },
    async get(ref) {
      const found = store.find(checkRef(ref))
      if (isClosed) throw new DatabaseError('The sender is closed')
      return found === null ? null : toFakeView(found, rules.userIdColumn.type, maxRetriesOf(POLICY))
    },
    async cancel(ref, { db, reason } = {}) {
      if (db !== undefined) requireTransaction(db)
      const named = checkRef(ref)
      checkReason(reason)
      if (isClosed && db === undefined) throw new DatabaseError('The sender is closed')
      return store.cancel(named, reason)
    },
    async close() {
      isClosed = true
    },
    script: (script) => scripts.add(script),
    reset() {
      scripts.clear()
      store.clear()
      isClosed = false
    },
  }
}

// The tests compare the texts of errors with those of the real sender, whose modules load pg.
const CLOSED = 'Nothing was submitted, and the message was not recorded: the sender is closed'

const POLICY = createRetryPolicy(undefined, 1)

function rulesOf({ userIdColumn, sendWindowFallbackTimeZone: fallback }: FakeSenderOptions): InputRules {
  const unknown = fallback === undefined ? [] : [fallback]
  return {
    userIdColumn: { type: 'integer', isNullable: false, maxLength: null, ...userIdColumn },
    circumstances: { sendWindow: null, zonesOf: (to) => zonesOfNumber(to) ?? unknown, isAllowed: () => true },
  }
}

/** Only `sendAfter` delays a message. With a send window, the result of a test would depend on the time of day. */
function planOf(checked: CheckedMessage, circumstances: Circumstances): Plan {
  const deps = { policy: POLICY, circumstances, random: () => 0 }
  return planMessage(deps, { ...checked, sendWindow: 'any' }, new Date())
}

/** The result for a message that waits for a worker. */
function waitingResult({ now, nextRetryAt, reason }: Plan): FakeResult {
  const due = { status: 'retry_scheduled', nextRetryAt: nextRetryAt ?? now } as const
  return reason === null ? due : { ...due, reason }
}

function requireTransaction(db: CallerTransaction): void {
  const { executeSql, query }: { executeSql?: unknown; query?: unknown } = Object(db)
  if (typeof executeSql !== 'function' && typeof query !== 'function')
    throw new TypeError('db must be a pg client or an adapter with executeSql')
}
