// What an app may ask to be sent, checked before anything is written.
import { z } from 'zod'
import { OWN_METADATA_KEYS } from './db/message-row.ts'
import { InvalidMessageError } from './errors.ts'

export interface MessageInput {
  /** The user in the app whom the message belongs to (column `user_id`). */
  readonly userId: number
  /** The recipient, in E.164: `+15551234567`. */
  readonly to: string
  /** 1 to 1,600 characters. */
  readonly body: string
  /**
   * Names this message once and for all, in 1 to 255 characters. Sending with the same key again, at any time and from
   * any process, gives the same row and sends nothing; with another recipient, text or user it throws.
   */
  readonly idempotencyKey?: string | undefined
  /** Never submitted after so many seconds, 1 to 2,592,000 (30 days); Twilio is told to give up then as well. */
  readonly validForSeconds?: number | undefined
  /** Kept in `sms_metadata`, beside our own keys, whose names it may not use: at most 16,384 bytes of JSON. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

const LONGEST_BODY = 1600
const LONGEST_KEY = 255
const LARGEST_METADATA_BYTES = 16_384
const LARGEST_INTEGER = 2_147_483_647

const storable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()
const UNSTORABLE = 'must have no NUL character and no half of a surrogate pair'

const schema = z.strictObject({
  userId: z
    .int('must be a whole number')
    .min(-LARGEST_INTEGER - 1)
    .max(LARGEST_INTEGER),
  to: z
    .string('must be a phone number in E.164')
    .regex(/^\+[1-9]\d{6,14}$/, 'must be a phone number in E.164, such as +15551234567'),
  body: z
    .string('must be a text')
    .refine((text) => text.length > 0, 'must not be empty')
    .refine((text) => [...text].length <= LONGEST_BODY, `must have at most ${LONGEST_BODY} characters`)
    .refine(storable, UNSTORABLE),
  idempotencyKey: z
    .string('must be a text')
    .min(1, 'must not be empty')
    .max(LONGEST_KEY, `must have at most ${LONGEST_KEY} characters`)
    .refine(storable, UNSTORABLE)
    .optional(),
  validForSeconds: z
    .int('must be a whole number of seconds')
    .min(1, 'must be at least 1 second')
    .max(30 * 24 * 3600, 'must be at most 30 days')
    .optional(),
  metadata: z.unknown().optional(),
})

export interface CheckedMessage {
  readonly userId: number
  readonly to: string
  readonly body: string
  readonly idempotencyKey: string | null
  readonly validForSeconds: number | null
  readonly metadata: Readonly<Record<string, unknown>>
}

/** @throws InvalidMessageError that names every fault, and no value */
export function checkMessage(input: MessageInput): CheckedMessage {
  const parsed = schema.safeParse(input)
  const faults = parsed.success
    ? checkMetadata(parsed.data.metadata)
    : parsed.error.issues.map((issue) => `${issue.path.join('.') || 'message'} ${issue.message}`)
  if (!parsed.success || faults.length > 0)
    throw new InvalidMessageError(`The message cannot be sent: ${faults.join('; ')}`)
  const { userId, to, body, idempotencyKey = null, validForSeconds = null, metadata = {} } = parsed.data
  return {
    userId,
    to,
    body,
    idempotencyKey,
    validForSeconds,
    metadata: metadata as CheckedMessage['metadata'],
  }
}

function checkMetadata(metadata: unknown): string[] {
  if (metadata === undefined) return []
  if (metadata === null || typeof metadata !== 'object' || Array.isArray(metadata))
    return ['metadata must be a plain object']
  const taken = OWN_METADATA_KEYS.filter((key) => Object.hasOwn(metadata, key))
  if (taken.length > 0)
    return [`metadata must not use the keys ${taken.join(', ')}, which belong to sms-retry`]
  let isStorable = true
  let json: string | undefined
  try {
    json = JSON.stringify(metadata, (key, value: unknown) => {
      if (!storable(key) || (typeof value === 'string' && !storable(value))) isStorable = false
      return value
    })
  } catch {
    return ['metadata must be JSON: no cycles and no BigInt']
  }
  // A Date, say, is an object until it becomes JSON.
  if (!json?.startsWith('{')) return ['metadata must be a plain object']
  if (!isStorable) return [`metadata ${UNSTORABLE}`]
  if (Buffer.byteLength(json) > LARGEST_METADATA_BYTES)
    return [`metadata must be at most ${LARGEST_METADATA_BYTES} bytes of JSON`]
  return []
}
