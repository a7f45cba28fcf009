// What status callbacks and API answers have in common on the wire.

/** A message sid. Source: Message resource, `sid`. */
export const SID = /^(SM|MM)[0-9a-fA-F]{32}$/

const LONGEST_TEXT = 500

/** Text from outside, fit for a PostgreSQL column: no NUL, no lone surrogate, not endless. Null if empty. */
export function cleanText(text: string | undefined): string | null {
  const clean = (text ?? '').replaceAll('\0', '').toWellFormed().slice(0, LONGEST_TEXT).toWellFormed()
  return clean === '' ? null : clean
}
