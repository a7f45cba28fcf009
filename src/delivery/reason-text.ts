// The form of a reason that a person or the app gives, for a pause or a cancellation. Logs, the dashboard and other
// people's terminals show it.
import { MAX_PAUSE_REASON } from './account-state.ts'

/** What is wrong with the text, such as "must not be empty". Null if it is valid. */
export function faultOfReason(text: string): string | null {
  if (text.trim() === '') return 'must not be empty'
  if (/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(text)) return 'must be one line without control characters'
  if (!text.isWellFormed()) return 'must have no half of a surrogate pair'
  return [...text].length > MAX_PAUSE_REASON ? `must have at most ${MAX_PAUSE_REASON} characters` : null
}
