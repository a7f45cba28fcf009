// The input of `send` and `enqueue`, validated before anything is written.
import { z } from 'zod'
import { readSendWindow, type SendWindow } from '../delivery/send-window.ts'
import { isTimeZone } from '../delivery/time-on-clock.ts'
import { InvalidMessageError } from '../shared/errors.ts'
import { OWN_METADATA_KEYS } from '../db/message-row.ts'
import { E164, hintsOnNumber, rewrittenForm } from '../shared/phone-number.ts'

export interface MessageInput {
  /** The user of the app that the message belongs to (column `user_id`). */
  readonly userId: number
  /** The recipient, in E.164: `+15551234567`. */
  readonly to: string
  /** 1 to 1,600 characters. */
  readonly body: string
  /**
   * Identifies this message for ever, in 1 to 255 characters. To send with the same key again, at any time and from any
   * process, returns the same row and sends nothing, even if the times below differ. With another recipient, text or user
   * it throws.
   */
  readonly idempotencyKey?: string | undefined
  /** Seconds after which the message is no longer submitted, 1 to 2,592,000 (30 days). Passed on to Twilio as well. */
  readonly validForSeconds?: number | undefined
  /**
   * The earliest time at which the message is submitted, up to a year ahead. Default: now. `validForSeconds` still counts from
   * now, so it must be longer than this wait.
   */
  readonly sendAfter?: Date | undefined
  /**
   * The hours of the day in which the message and its retries may be sent, such as `{ from: '08:00', to: '21:00' }`, or
   * `any` for urgent messages. Default: SEND_WINDOW.
   */
  readonly sendWindow?: SendWindow | 'any' | undefined
  /** The recipient's IANA time zone, such as `America/New_York`. Default: all that the number can be in. */
  readonly timeZone?: string | undefined
  /**
   * Stored in `sms_metadata` beside our own keys, whose names it must not use. At most 16,384 bytes of JSON, and at most
   * 1,000 nested objects and arrays.
   */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

const MAX_BODY_LENGTH = 1600
const MAX_KEY_LENGTH = 255
const MAX_INTEGER = 2_147_483_647

const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()
const UNSTORABLE = 'must have no NUL character and no half of a surrogate pair'

const schema = z.strictObject({
  userId: z
    .int('must be a whole number')
    .min(-MAX_INTEGER - 1)
    .max(MAX_INTEGER),
  to: z
    .string('must be a phone number in E.164')
    .regex(E164, {
      error: ({ input }) =>
        `must be a phone number in E.164, such as +15551234567${hintsOnNumber(String(input))}`,
      abort: true,
    })
    // Twilio would store it in another form, and an attempt in doubt could not be found in its list.
    .superRefine((to, context) => {
      const form = rewrittenForm(to)
      if (form !== null) context.addIssue(`must be ${form}: it has a prefix that only national calls use`)
    }),
  body: z
    .string('must be a text')
    .refine((text) => text.length > 0, 'must not be empty')
    .refine((text) => [...text].length <= MAX_BODY_LENGTH, `must have at most ${MAX_BODY_LENGTH} characters`)
    .refine(isStorable, UNSTORABLE),
  idempotencyKey: z
    .string('must be a text')
    .min(1, 'must not be empty')
    .max(MAX_KEY_LENGTH, `must have at most ${MAX_KEY_LENGTH} characters`)
    .refine(isStorable, UNSTORABLE)
    .optional(),
  validForSeconds: z
    .int('must be a whole number of seconds')
    .min(1, 'must be at least 1 second')
    .max(30 * 24 * 3600, 'must be at most 30 days')
    .optional(),
  sendAfter: z.date('must be a Date').optional(),
  sendWindow: z
    .unknown()
    .transform((input, context): SendWindow | 'any' | undefined => {
      if (input === undefined || input === 'any') return input
      const read = readSendWindow(input)
      if ('window' in read) return read.window
      context.addIssue(`${read.fault}, such as { from: '08:00', to: '21:00' }, or 'any'`)
      return z.NEVER
    })
    .optional(),
  timeZone: z
    .string('must be a time zone such as America/New_York')
    .refine(isTimeZone, 'must be a time zone such as America/New_York')
    .optional(),
  metadata: z.unknown().optional(),
})

export interface CheckedMessage {
  readonly userId: number
  readonly to: string
  readonly body: string
  readonly idempotencyKey: string | null
  readonly validForSeconds: number | null
  readonly sendAfter: Date | null
  readonly sendWindow: SendWindow | 'any' | null
  readonly timeZone: string | null
  readonly metadata: Metadata
}

const MAX_DELAY_MS = 366 * 24 * 3600 * 1000

/**
 * @param nowMs the clock of this process
 * @throws InvalidMessageError that lists every fault, but no value
 */
export function checkMessage(input: MessageInput, nowMs = Date.now()): CheckedMessage {
  const parsed = schema.safeParse(input)
  if (!parsed.success) {
    throw invalid(parsed.error.issues.map((issue) => `${issue.path.join('.') || 'message'} ${issue.message}`))
  }
  const { userId, to, body, idempotencyKey = null, validForSeconds = null } = parsed.data
  const { sendAfter = null, sendWindow = null, timeZone = null } = parsed.data
  const delayMs = sendAfter === null ? 0 : sendAfter.getTime() - nowMs
  if (delayMs > MAX_DELAY_MS) throw invalid(['sendAfter must be at most a year ahead'])
  if (sendAfter !== null && validForSeconds !== null && delayMs >= validForSeconds * 1000)
    throw invalid(['sendAfter must be before the end of validForSeconds, which counts from now'])
  const read = readMetadata(parsed.data.metadata)
  if ('fault' in read) throw invalid([`metadata ${read.fault}`])
  const times = { validForSeconds, sendAfter, sendWindow, timeZone }
  return { userId, to, body, idempotencyKey, ...times, metadata: read.metadata }
}

export function invalid(faults: readonly string[]): InvalidMessageError {
  return new InvalidMessageError(`The message cannot be sent: ${faults.join('; ')}`)
}

type Metadata = Readonly<Record<string, unknown>>

const MAX_METADATA_BYTES = 16_384
/** PostgreSQL's own limit depends on its stack size; the dashboard and the driver recurse as well. */
const MAX_METADATA_DEPTH = 1000

const NOT_PLAIN = 'must be a plain object'

/** A fault inside the metadata. Its text continues after the word `metadata`. */
class MetadataFault extends Error {}

/** Reads the metadata once into plain JSON, so that exactly the checked value is stored. */
function readMetadata(input: unknown): { readonly metadata: Metadata } | { readonly fault: string } {
  if (input === undefined) return { metadata: {} }
  if (input === null || typeof input !== 'object' || Array.isArray(input)) return { fault: NOT_PLAIN }
  let json: string | undefined
  try {
    json = JSON.stringify(input, createCheck())
  } catch (error) {
    if (error instanceof MetadataFault) return { fault: error.message }
    return { fault: 'cannot be read: a toJSON method or a getter in it throws' }
  }
  // A Date, for example, is an object, but its JSON is a string.
  if (!json?.startsWith('{')) return { fault: NOT_PLAIN }
  if (Buffer.byteLength(json) > MAX_METADATA_BYTES)
    return { fault: `must be at most ${MAX_METADATA_BYTES} bytes of JSON` }
  const metadata = JSON.parse(json) as Metadata
  const taken = OWN_METADATA_KEYS.filter((key) => Object.hasOwn(metadata, key))
  if (taken.length > 0)
    return { fault: `must not use the keys ${taken.join(', ')}, which belong to sms-retry` }
  return { metadata }
}

/** A replacer for JSON.stringify that changes nothing and tracks the objects around the current value. */
function createCheck(): (this: unknown, key: string, value: unknown) => unknown {
  const ancestors: object[] = []
  const isAncestor = new Set<object>()
  return function check(key, value) {
    while (ancestors.length > 0 && ancestors.at(-1) !== this) isAncestor.delete(ancestors.pop() ?? {})
    if (!isStorable(key) || (typeof value === 'string' && !isStorable(value)))
      throw new MetadataFault(UNSTORABLE)
    if (typeof value === 'bigint')
      throw new MetadataFault('must have no BigInt, which JSON does not support: use a string')
    if (value === null || typeof value !== 'object') return value
    if (isAncestor.has(value)) throw new MetadataFault('must have no cycle: an object in it contains itself')
    ancestors.push(value)
    isAncestor.add(value)
    // The metadata itself counts as one.
    if (ancestors.length > MAX_METADATA_DEPTH + 1)
      throw new MetadataFault(`must have at most ${MAX_METADATA_DEPTH} nested objects and arrays`)
    return value
  }
}
