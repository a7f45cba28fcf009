// Owns the number scheme: what happens to an attempt is read from the recipient's number alone.
// Which attempt it is, is left to attempt-number.ts; carrying the outcome out to message-life.ts.
import type { AttemptNumber } from './attempt-number.ts'
import { isRefusedByApi, neverLeftTwilio } from './twilio-errors.ts'

export type Outcome =
  | { kind: 'delivered' }
  | { kind: 'refused'; code: number }
  | { kind: 'failed'; code: number }
  | { kind: 'undelivered'; code: number }

// Twilio's codes have five digits and none begins with 0. So the numbers that films and documentation use,
// +1 555 01x xxxx, stay ordinary numbers.
const SCRIPTED_NUMBER = /^\+1555([1-9]\d{4})(\d{2})$/

/** `+1555CCCCCNN`: the first NN attempts fail with code CCCCC. Every other number delivers. */
export function scriptedOutcome(
  to: string,
  { attempt, earlierPosts }: Pick<AttemptNumber, 'attempt' | 'earlierPosts'>,
): Outcome {
  const match = SCRIPTED_NUMBER.exec(to)
  if (match === null) return { kind: 'delivered' }
  const code = Number(match[1])
  const refused = isRefusedByApi(code)
  // After a 429 or a 5xx an app is right to submit the very same attempt again. If only the attempt's number
  // counted, it would be refused for ever; so for these codes it is the POSTs that fail NN times.
  const sameAttemptAgain = [20429, 20500, 20503].includes(code)
  const failuresSoFar = sameAttemptAgain ? Math.max(attempt, earlierPosts) : attempt
  if (failuresSoFar >= Number(match[2])) return { kind: 'delivered' }
  if (refused) return { kind: 'refused', code }
  return neverLeftTwilio(code) ? { kind: 'failed', code } : { kind: 'undelivered', code }
}
