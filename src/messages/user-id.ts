// Checks the user id of a message against the column `user_id`, which belongs to the app.
import type { UserIdColumn, UserIdType } from '../db/user-id-column.ts'
import { isStorable } from './message-metadata.ts'

/** `value` is the text that PostgreSQL has for the id, whatever type it was given as. */
export type CheckedUserId = { readonly value: string | null } | { readonly fault: string }

/** A fault is a clause such as "must be a uuid, as the column user_id is". */
export function checkUserId(input: unknown, { type, isNullable, maxLength }: UserIdColumn): CheckedUserId {
  if (input === undefined || input === null)
    return isNullable ? { value: null } : { fault: 'is required: the column user_id does not allow null' }
  const value = typeof input === 'string' ? input : isWholeNumber(input) ? `${input}` : null
  const read = value === null ? null : READERS[type](value, maxLength ?? MAX_LENGTH)
  if (read !== null) return { value: read }
  return { fault: faultOf(type, maxLength ?? MAX_LENGTH) }
}

function faultOf(type: UserIdType, maxLength: number): string {
  switch (type) {
    case 'integer':
      return 'must be a whole number from -2147483648 to 2147483647: the column user_id is an integer'
    case 'bigint':
      return 'must be a whole number, a bigint or a text of digits: the column user_id is a bigint'
    case 'uuid':
      return 'must be a uuid, as the column user_id is'
    case 'text':
      return `must be a text of 1 to ${maxLength} characters, as the column user_id is`
  }
}

/** A number beyond 2^53 - 1 may have been rounded: it must be a text or a bigint. */
const isWholeNumber = (input: unknown): input is number | bigint =>
  Number.isSafeInteger(input) || typeof input === 'bigint'

/** The longest id in a column without a limit. */
const MAX_LENGTH = 255

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

/** Each returns the text as PostgreSQL has it, or null if the column cannot hold it. */
const READERS: Readonly<Record<UserIdType, (text: string, maxLength: number) => string | null>> = {
  integer: (text) => readInteger(text, 32),
  bigint: (text) => readInteger(text, 64),
  uuid: (text) => (UUID.test(text) ? text.toLowerCase() : null),
  text: (text, maxLength) => (isText(text, maxLength) ? text : null),
}

function readInteger(text: string, bits: number): string | null {
  if (!/^-?\d{1,19}$/.test(text)) return null
  const value = BigInt(text)
  return BigInt.asIntN(bits, value) === value ? `${value}` : null
}

function isText(text: string, maxLength: number): boolean {
  const { length } = [...text]
  return length >= 1 && length <= maxLength && isStorable(text)
}
