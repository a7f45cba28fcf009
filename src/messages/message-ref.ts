// How the app names one message: by the id of its row, or by its idempotency key.
import { InvalidMessageError } from '../shared/errors.ts'
import { isStorable } from './message-metadata.ts'

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
