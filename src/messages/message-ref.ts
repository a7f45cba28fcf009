// The arguments with which the app names one message and cancels it, checked.
import { faultOfReason } from '../delivery/reason-text.ts'
import { InvalidMessageError } from '../shared/errors.ts'
import { isStorable } from './message-metadata.ts'

/** By the id of its row, or by its idempotency key. */
export type MessageRef = { readonly id: number } | { readonly idempotencyKey: string }

/** @throws InvalidMessageError if it is neither */
export function checkRef(input: MessageRef): MessageRef {
  const { id, idempotencyKey }: { id?: unknown; idempotencyKey?: unknown } = Object(input)
  if (Number.isSafeInteger(id) && idempotencyKey === undefined) return { id: id as number }
  if (typeof idempotencyKey === 'string' && isStorable(idempotencyKey) && id === undefined)
    return { idempotencyKey }
  throw new InvalidMessageError(
    'A message is named by { id }, a whole number, or by { idempotencyKey }, a text',
  )
}

/** @throws InvalidMessageError if it cannot be the reason of a cancellation */
export function checkReason(reason: unknown): void {
  if (reason === undefined) return
  const fault = typeof reason === 'string' ? faultOfReason(reason) : 'must be a text'
  if (fault !== null) throw new InvalidMessageError(`The message was not canceled: reason ${fault}`)
}
