// Parsing that status callbacks and API answers share.

/** A message sid. Source: Message resource, `sid`. */
export const SID = /^(SM|MM)[0-9a-fA-F]{32}$/

const MAX_TEXT_LENGTH = 500

/** Text from outside that PostgreSQL can store: without NUL and lone surrogates, and truncated. Null if it is empty or no text. */
export function cleanText(text: unknown): string | null {
  if (typeof text !== 'string') return null
  const clean = text.replaceAll('\0', '').slice(0, MAX_TEXT_LENGTH).toWellFormed()
  return clean === '' ? null : clean
}

/** The fields of a JSON object, given as text or parsed; null for anything else. */
export function parseJson(body: unknown): Record<string, unknown> | null {
  let parsed = body
  if (typeof body === 'string') {
    try {
      parsed = JSON.parse(body)
    } catch {
      return null
    }
  }
  return parsed !== null && typeof parsed === 'object' ? (parsed as Record<string, unknown>) : null
}

export interface ErrorBody {
  readonly code: number
  readonly message: string
}

/** Twilio's error codes have five or six digits. Other codes are mostly HTTP statuses or small numbers. */
const MIN_ERROR_CODE = 10_000
const MAX_ERROR_CODE = 999_999

/**
 * Twilio's own error: `{ code, message, more_info, status }`. Null for anything else, which comes from a server or proxy in
 * between.
 * Source: https://www.twilio.com/docs/usage/twilios-response#exceptions
 */
export function parseErrorBody(body: unknown): ErrorBody | null {
  const { code, message, more_info: link, status } = parseJson(body) ?? {}
  if (typeof code !== 'number' || !Number.isInteger(code)) return null
  if (code < MIN_ERROR_CODE || code > MAX_ERROR_CODE || typeof message !== 'string') return null
  return typeof link === 'string' || typeof status === 'number' ? { code, message } : null
}
