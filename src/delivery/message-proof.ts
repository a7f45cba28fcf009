// Checks that an event belongs to a message. A row's id can repeat after a restore, a `truncate ... restart identity` or a
// failover, so the id alone proves nothing. Each message that we write has a random key; rows of the app have none.
import type { Message } from './message.ts'

/** What an event knows about its message, apart from the id. */
export interface Proof {
  /** From the callback's URL, or from the row when it was read. Null if there was none. */
  readonly key: string | null
  /** The recipient, in any form. */
  readonly to: string | null
  /** Twilio's id of the attempt, if the event has one. */
  readonly sid?: string
}

/** The id of a row, in digits; null for anything else, and above `Number.MAX_SAFE_INTEGER`. */
export function parseMessageId(text: string): number | null {
  const id = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(id) ? id : null
}

/** 96 random bits, in characters that a URL need not escape. */
export const MESSAGE_KEY = /^[A-Za-z0-9_-]{16}$/

/** Two keys decide. If one is missing, a sid that the row has is proof as well, and so is the same recipient. */
export function isAbout(message: Message, { key, to, sid }: Proof): boolean {
  if (key !== null && message.key !== null) return key === message.key
  if (sid !== undefined && hasSid(message, sid)) return true
  return to !== null && isSameAddress(message.to, to)
}

export function proofOf({ key, to }: Pick<Message, 'key' | 'to'>): Proof {
  return { key, to }
}

function hasSid(message: Message, sid: string): boolean {
  return message.sid === sid || message.attempts.some((attempt) => attempt.sid === sid)
}

/** Fewer digits are a short code, not a number without its country code. */
const MIN_NATIONAL_DIGITS = 7

/**
 * True for two forms of one address: with or without a channel (`whatsapp:+1206...`), punctuation, the country code or a
 * trunk zero. Twilio reports numbers in its own form.
 */
export function isSameAddress(one: string, other: string): boolean {
  const [a, b] = [plain(one), plain(other)]
  if (a === b) return true
  if (!isDigits(a) || !isDigits(b)) return false
  const [short, long] = [a, b].map(withoutPrefix).toSorted((x, y) => x.length - y.length) as [string, string]
  if (short === long) return true
  if (short.length >= MIN_NATIONAL_DIGITS && long.endsWith(short)) return true
  return withoutTrunkZero(long).includes(short)
}

const isDigits = (text: string): boolean => /^\d+$/.test(text)

function plain(address: string): string {
  const bare = address.replace(/^[a-z]+:/i, '')
  const digits = bare.replaceAll(/[^\d]/g, '')
  // An address with letters is a name, such as a user of a channel.
  return /\p{L}/u.test(bare) || digits === '' ? bare.trim().toLowerCase() : digits
}

/** Without the `00` before a country code, or the zero that a national number begins with. */
function withoutPrefix(digits: string): string {
  return digits.replace(/^0+/, '')
}

/** Every form without a zero right after the country code, which has one to three digits. */
function withoutTrunkZero(digits: string): string[] {
  return [1, 2, 3].flatMap((at) => (digits[at] === '0' ? [digits.slice(0, at) + digits.slice(at + 1)] : []))
}
