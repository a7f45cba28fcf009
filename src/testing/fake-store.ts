// The messages of a fake sender, in memory.
import type { CancelResult } from '../messages/cancel-message.ts'
import type { CheckedMessage } from '../messages/message-input.ts'
import type { MessageRef } from '../messages/message-ref.ts'
import { requireSameMessage } from '../messages/repeated-key.ts'
import {
  type FakeMessage,
  type PassedMessage,
  type StoredFake,
  statusOf,
  toSendResult,
} from './fake-message.ts'
import type { FakeResult } from './scripts.ts'

/** As on the row of a message that the app cancels without a reason. */
const CANCELED = 'Canceled before the next attempt'

export class FakeStore {
  #stored: StoredFake[] = []

  messages(): FakeMessage[] {
    return this.#stored.map(({ message }) => message)
  }

  clear(): void {
    this.#stored = []
  }

  add(checked: CheckedMessage, passed: PassedMessage, result: FakeResult, createdAt: Date): FakeMessage {
    const id = this.#stored.length + 1
    const message = { ...passed, id, result: toSendResult(id, result), isCanceled: false }
    this.#stored.push({ checked, createdAt, message })
    return message
  }

  /**
   * The message with this idempotency key.
   *
   * @throws IdempotencyKeyReusedError if it has another recipient, text or user
   */
  findExisting(checked: CheckedMessage): FakeMessage | null {
    const { idempotencyKey } = checked
    const existing = idempotencyKey === null ? null : this.find({ idempotencyKey })
    if (existing === null) return null
    requireSameMessage({ ...existing.checked, id: existing.message.id }, checked)
    return existing.message
  }

  find(named: MessageRef): StoredFake | null {
    const found = this.#stored.find(({ checked, message }) =>
      'id' in named ? message.id === named.id : checked.idempotencyKey === named.idempotencyKey,
    )
    return found ?? null
  }

  cancel(named: MessageRef, reason = CANCELED): CancelResult {
    const found = this.find(named)
    if (found === null) return { canceled: false, status: null }
    const status = statusOf(found.message)
    if (status === 'canceled') return { canceled: true, status }
    if (status !== 'pending' && status !== 'retrying') return { canceled: false, status }
    const result = { id: found.message.id, status: 'failed', reason } as const
    const canceled = { ...found, message: { ...found.message, isCanceled: true, result } }
    this.#stored = this.#stored.map((each) => (each === found ? canceled : each))
    return { canceled: true, status: 'canceled' }
  }
}
