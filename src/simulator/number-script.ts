// The number scheme: the recipient's number and the number of the attempt determine the attempt's outcome.
// attempt-number.ts determines which attempt it is; message-lifecycle.ts simulates the outcome.
import type { AttemptNumber } from './attempt-number.ts'
import { isRefusedByApi, neverLeftTwilio } from './twilio-errors.ts'

export type Outcome =
  | { kind: 'delivered' }
  | { kind: 'refused'; code: number }
  | { kind: 'failed'; code: number }
  | { kind: 'undelivered'; code: number }

// Twilio's codes have five digits and do not begin with 0. The fictitious numbers +1 555 01x xxxx are therefore ordinary
// numbers here.
const SCRIPTED_NUMBER = /^\+1555([1-9]\d{4})(\d{2})$/

/** `+1555CCCCCNN` fails the first NN attempts with code CCCCC. Messages to all other numbers are delivered. */
export function scriptedOutcome(
  to: string,
  { attempt, earlierPosts }: Pick<AttemptNumber, 'attempt' | 'earlierPosts'>,
): Outcome {
  const match = SCRIPTED_NUMBER.exec(to)
  if (match === null) return { kind: 'delivered' }
  const code = Number(match[1])
  const refused = isRefusedByApi(code)
  // After a 429 or a 5xx, an app may submit the same attempt again. If only the attempt's number counted, it would be
  // refused forever. For these codes, the first NN POSTs fail.
  const countsPosts = [20429, 20500, 20503].includes(code)
  const failuresSoFar = countsPosts ? Math.max(attempt, earlierPosts) : attempt
  if (failuresSoFar >= Number(match[2])) return { kind: 'delivered' }
  if (refused) return { kind: 'refused', code }
  return neverLeftTwilio(code) ? { kind: 'failed', code } : { kind: 'undelivered', code }
}
