// The input of `send` and `enqueue`, validated before anything is written.
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import type { UserIdColumn } from '../db/user-id-column.ts'
import type { Circumstances } from '../delivery/decision.ts'
import { windowOf, zonesOf } from '../delivery/message-window.ts'
import { readSendWindow, type SendWindow } from '../delivery/send-window.ts'
import { isTimeZone } from '../delivery/time-on-clock.ts'
import { InvalidMessageError } from '../shared/errors.ts'
import { E164, hintsOnNumber, rewrittenForm } from '../shared/phone-number.ts'
import { isStorable, type Metadata, readMetadata, UNSTORABLE } from './message-metadata.ts'
import { checkUserId } from './user-id.ts'

export interface MessageInput {
  /**
   * The user of the app that the message belongs to, as the column `user_id` has it: `integer`, `bigint`, `uuid`, `text` or
   * `varchar`. May be left out if the column allows null. The column is read when the sender starts.
   */
  readonly userId?: number | string | bigint | null | undefined
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

const schema = z.strictObject({
  // Checked against the column. In a strict object, a key of z.unknown() is required.
  userId: z.unknown().optional(),
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
  /** The text of a value that the column accepts. */
  readonly userId: string | null
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

/** The table and the configuration that messages are checked against. */
export interface InputRules {
  readonly userIdColumn: UserIdColumn
  readonly circumstances: Circumstances
}

/**
 * @param nowMs the clock of this process
 * @throws InvalidMessageError that lists every fault, but no value
 */
export function checkMessage(input: MessageInput, rules: InputRules, nowMs = Date.now()): CheckedMessage {
  const read = readMessage(input, rules, nowMs)
  if ('faults' in read) throw new InvalidMessageError(`The message cannot be sent: ${read.faults.join('; ')}`)
  return read
}

/** The error about many messages describes so many of them. Its `indexes` has all. */
const MAX_DESCRIBED = 10

const CHECKED_TOGETHER = 1_000

/** @throws InvalidMessageError with the index of every invalid message, and the faults of the first ones */
export async function checkMessages(
  inputs: readonly MessageInput[],
  rules: InputRules,
): Promise<CheckedMessage[]> {
  const nowMs = Date.now()
  const messages: CheckedMessage[] = []
  const invalid: { readonly index: number; readonly faults: readonly string[] }[] = []
  for (const [index, input] of inputs.entries()) {
    // Ten thousand take a third of a second, which the app's other requests must not wait.
    if (index % CHECKED_TOGETHER === CHECKED_TOGETHER - 1) await setImmediate()
    const read = readMessage(input, rules, nowMs)
    if ('faults' in read) invalid.push({ index, faults: read.faults })
    else messages.push(read)
  }
  if (invalid.length === 0) return messages
  const described = invalid.slice(0, MAX_DESCRIBED)
  const others = invalid.length - described.length
  throw new InvalidMessageError(
    [
      `${invalid.length} of ${inputs.length} messages cannot be sent, and none was written`,
      ...described.map(({ index, faults }) => `[${index}] ${faults.join('; ')}`),
      ...(others > 0 ? [`and ${others} more; see the property indexes`] : []),
    ].join('\n'),
    invalid.map(({ index }) => index),
  )
}

function readMessage(
  input: MessageInput,
  { userIdColumn, circumstances }: InputRules,
  nowMs: number,
): CheckedMessage | { readonly faults: readonly string[] } {
  const parsed = schema.safeParse(input)
  const user = checkUserId(parsed.success ? parsed.data.userId : input?.userId, userIdColumn)
  const faults = 'fault' in user ? [`userId ${user.fault}`] : []
  if (!parsed.success)
    faults.push(
      ...parsed.error.issues.map((issue) => `${issue.path.join('.') || 'message'} ${issue.message}`),
    )
  if (!parsed.success || 'fault' in user) return { faults }
  const { to, body, idempotencyKey = null, validForSeconds = null } = parsed.data
  const { sendAfter = null, sendWindow = null, timeZone = null } = parsed.data
  const delayMs = sendAfter === null ? 0 : sendAfter.getTime() - nowMs
  if (delayMs > MAX_DELAY_MS) return { faults: ['sendAfter must be at most a year ahead'] }
  if (sendAfter !== null && validForSeconds !== null && delayMs >= validForSeconds * 1000)
    return { faults: ['sendAfter must be before the end of validForSeconds, which counts from now'] }
  const read = readMetadata(parsed.data.metadata)
  if ('fault' in read) return { faults: [`metadata ${read.fault}`] }
  const times = { validForSeconds, sendAfter, sendWindow, timeZone }
  const message = { userId: user.value, to, body, idempotencyKey, ...times, metadata: read.metadata }
  return lacksTimeZone(message, circumstances) ? { faults: [NO_TIME_ZONE] } : message
}

/** Whether a send window holds for the message, but not in which time zone. */
function lacksTimeZone(message: CheckedMessage, circumstances: Circumstances): boolean {
  return windowOf(message, circumstances) !== null && zonesOf(message, circumstances).length === 0
}

const NO_TIME_ZONE =
  'timeZone is required: its send window cannot be read, because the number shows no time zone. Or set ' +
  'SEND_WINDOW_FALLBACK_TIME_ZONE for all such numbers'
