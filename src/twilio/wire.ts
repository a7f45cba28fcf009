// What status callbacks and API answers have in common on the wire.

/** A message sid. Source: Message resource, `sid`. */
export const SID = /^(SM|MM)[0-9a-fA-F]{32}$/

const LONGEST_TEXT = 500

/**
 * Text from outside, fit for a PostgreSQL column: no NUL, no lone surrogate, not endless. Null if it is empty or
 * no text at all.
 */
export function cleanText(text: unknown): string | null {
  if (typeof text !== 'string') return null
  const clean = text.replaceAll('\0', '').slice(0, LONGEST_TEXT).toWellFormed()
  return clean === '' ? null : clean
}
