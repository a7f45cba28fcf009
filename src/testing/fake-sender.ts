// A sender in memory, for the tests of an app. It checks input as the real sender does, and returns scripted results. It
// has no database and makes no request, so it loads neither pg, pg-boss nor the twilio package.
import { randomBytes } from 'node:crypto'
import type { Circumstances } from '../delivery/decision.ts'
import { createRetryPolicy } from '../delivery/retry-policy.ts'
import { type CheckedMessage, checkMessage, type MessageInput } from '../messages/message-input.ts'
import { type Plan, planMessage, requireTimeZone } from '../messages/plan-message.ts'
import type { EnqueueResult, SendResult } from '../messages/send-message.ts'
import type { CallerTransaction } from '../postgres/pool.ts'
import type { Sender } from '../processes/sender.ts'
import { DatabaseError, IdempotencyKeyReusedError } from '../shared/errors.ts'
import { zonesOfNumber } from '../shared/recipient-zones.ts'
import { type Script, Scripts } from './scripts.ts'

export interface FakeSenderOptions {
  /** As the option of `createSender`: the IANA time zone of numbers whose own time zone is not known. */
  readonly sendWindowFallbackTimeZone?: string
}

/** A message as the app passed it, and the result. */
export interface FakeMessage extends MessageInput {
  /** 1 for the first message. */
  readonly id: number
  /** The method that added it. */
  readonly via: 'send' | 'enqueue'
  /** The transaction that was passed to `enqueue`; null for `send`. */
  readonly db: CallerTransaction | null
  /** The result of `send`. For an enqueued message, the result of a later `send` with its idempotency key. */
  readonly result: SendResult
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

interface Stored {
  readonly checked: CheckedMessage
  readonly message: FakeMessage
}

/**
 * Creates a sender for tests. It differs from the real one in three ways: it ignores send windows and holds, it does not
 * use `db`, so a rollback does not remove an enqueued message, and it makes no retries.
 *
 * @example
 * const fake = createFakeSender()
 * await confirmOrder(fake, order)
 * expect(fake.messages).toMatchObject([{ to: order.phone }])
 */
export function createFakeSender(options: FakeSenderOptions = {}): FakeSender {
  const circumstances = circumstancesOf(options)
  const scripts = new Scripts()
  let stored: Stored[] = []
  let isClosed = false

  const check = (input: MessageInput): CheckedMessage => {
    const checked = checkMessage(input)
    requireTimeZone(checked, circumstances)
    return checked
  }
  const add = (checked: CheckedMessage, message: Omit<FakeMessage, 'id' | 'result'>, result: NewResult) => {
    const id = stored.length + 1
    const added = { ...message, id, result: { id, ...result } }
    stored.push({ checked, message: added })
    return added
  }

  return {
    get messages() {
      return stored.map(({ message }) => message)
    },
    async send(input): Promise<SendResult> {
      if (isClosed) throw new DatabaseError(CLOSED)
      const checked = check(input)
      const existing = findExisting(stored, checked)
      if (existing !== null) return { ...existing.result }
      const plan = planOf(checked, circumstances)
      const scripted = plan.passage.kind === 'now' ? scripts.resultOf(input) : null
      const result = scripted === null ? resultOf(plan) : { ...DEFAULTS[scripted.status](), ...scripted }
      return { ...add(checked, { ...input, via: 'send', db: null }, result).result }
    },
    async enqueue(input, { db }): Promise<EnqueueResult> {
      requireTransaction(db)
      const checked = check(input)
      const existing = findExisting(stored, checked)
      if (existing !== null) return { id: existing.id, created: false }
      scripts.throwErrorFor(input)
      const result = resultOf(planOf(checked, circumstances))
      return { id: add(checked, { ...input, via: 'enqueue', db }, result).id, created: true }
    },
    async close() {
      isClosed = true
    },
    script: (script) => scripts.add(script),
    reset() {
      scripts.clear()
      stored = []
      isClosed = false
    },
  }
}

type NewResult = Omit<SendResult, 'id'>

const CLOSED = 'Nothing was submitted, and the message was not recorded: the sender is closed'

/** What the real sender always returns with a status, where the script leaves it out. */
const DEFAULTS: Readonly<Record<SendResult['status'], () => Partial<NewResult>>> = {
  accepted: () => ({ sid: `SM${randomBytes(16).toString('hex')}` }),
  retry_scheduled: () => ({ nextRetryAt: new Date(Date.now() + DEFAULT_DELAY_MS) }),
  failed: () => ({}),
  in_doubt: () => ({}),
}
const DEFAULT_DELAY_MS = 120_000

const POLICY = createRetryPolicy(undefined, 1)

function circumstancesOf({ sendWindowFallbackTimeZone: fallback }: FakeSenderOptions): Circumstances {
  const unknown = fallback === undefined ? [] : [fallback]
  return { sendWindow: null, zonesOf: (to) => zonesOfNumber(to) ?? unknown, isAllowed: () => true }
}

/** Only `sendAfter` delays a message. With a send window, the result of a test would depend on the time of day. */
function planOf(checked: CheckedMessage, circumstances: Circumstances): Plan {
  const deps = { policy: POLICY, circumstances, random: () => 0 }
  return planMessage(deps, { ...checked, sendWindow: 'any' }, new Date())
}

/** The result for a message that waits. */
function resultOf({ nextRetryAt, reason }: Plan): NewResult {
  return {
    status: 'retry_scheduled',
    ...(nextRetryAt === null ? {} : { nextRetryAt }),
    ...(reason === null ? {} : { reason }),
  }
}

/** @throws IdempotencyKeyReusedError */
function findExisting(stored: readonly Stored[], { idempotencyKey, ...message }: CheckedMessage) {
  if (idempotencyKey === null) return null
  const existing = stored.find(({ checked }) => checked.idempotencyKey === idempotencyKey)
  if (existing === undefined) return null
  const { to, body, userId } = existing.checked
  if (to !== message.to || body !== message.body || userId !== message.userId) {
    throw new IdempotencyKeyReusedError(
      `The idempotency key belongs to message ${existing.message.id}, which has another recipient, text or user. ` +
        'Use a new key for a new message.',
    )
  }
  return existing.message
}

function requireTransaction(db: CallerTransaction): void {
  if (!('executeSql' in db) && typeof db.query !== 'function')
    throw new TypeError('db must be a pg client or an adapter with executeSql')
}
