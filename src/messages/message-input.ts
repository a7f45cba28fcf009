// What an app may ask to be sent, checked before anything is written.
import { z } from 'zod'
import { InvalidMessageError } from '../shared/errors.ts'
import { isStorable, type Metadata, readMetadata, UNSTORABLE } from './metadata.ts'
import { rewrittenForm } from './number-form.ts'
import { E164, hintsOnNumber } from '../shared/phone-number.ts'

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
  /**
   * Kept in `sms_metadata`, beside our own keys, whose names it may not use: at most 16,384 bytes of JSON, and at most
   * 1,000 objects and lists inside each other.
   */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

const MAX_BODY_LENGTH = 1600
const MAX_KEY_LENGTH = 255
const MAX_INTEGER = 2_147_483_647

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
    // Twilio would keep it in another form, and an attempt in doubt would not be found in its list.
    .superRefine((to, context) => {
      const form = rewrittenForm(to)
      if (form !== null)
        context.addIssue(`must be in the form ${form}: as it is, it has a prefix of national calls`)
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
  metadata: z.unknown().optional(),
})

export interface CheckedMessage {
  readonly userId: number
  readonly to: string
  readonly body: string
  readonly idempotencyKey: string | null
  readonly validForSeconds: number | null
  readonly metadata: Metadata
}

/** @throws InvalidMessageError that names every fault, and no value */
export function checkMessage(input: MessageInput): CheckedMessage {
  const parsed = schema.safeParse(input)
  if (!parsed.success) {
    throw invalid(parsed.error.issues.map((issue) => `${issue.path.join('.') || 'message'} ${issue.message}`))
  }
  const { userId, to, body, idempotencyKey = null, validForSeconds = null } = parsed.data
  const read = readMetadata(parsed.data.metadata)
  if ('fault' in read) throw invalid([`metadata ${read.fault}`])
  return { userId, to, body, idempotencyKey, validForSeconds, metadata: read.metadata }
}

function invalid(faults: readonly string[]): InvalidMessageError {
  return new InvalidMessageError(`The message cannot be sent: ${faults.join('; ')}`)
}
