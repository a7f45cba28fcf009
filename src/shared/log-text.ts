// A log line as people read it: the message, its fields as name=value, and the stack of an unexpected error.
import { printableJson, printableLine, printableLines } from './printable.ts'

/** The message and its fields on one line; an error without a code adds its stack. */
export function formatLogText(message: string, fields: Readonly<Record<string, unknown>>): string {
  const rest = Object.entries(fields).map(formatField).join('')
  return `${printableLine(message)}${rest}${printableLines(stackOf(fields))}`
}

/** ` name=value` for a terminal; empty for null and undefined. */
function formatField([name, value]: [string, unknown]): string {
  if (value === null || value === undefined) return ''
  if (isErrorFields(value)) return ` ${name}=${quoted(describeError(value))}`
  if (value instanceof Date) return ` ${name}=${value.toISOString()}`
  const isPlain = typeof value === 'string' && /^[^\s"=\p{Cc}\p{Bidi_Control}]+$/u.test(value)
  return ` ${name}=${isPlain ? value : quoted(value)}`
}

function quoted(value: unknown): string {
  return printableJson(String(JSON.stringify(value)))
}

/** The result of errorFields. */
interface ErrorFields {
  readonly name: string
  readonly message: string
  readonly stack?: string
  readonly code?: unknown
  readonly cause?: { readonly error?: unknown }
}

function isErrorFields(value: unknown): value is ErrorFields {
  return typeof value === 'object' && value !== null && 'name' in value && 'message' in value
}

/** The error and its causes on one line. */
function describeError({ name, message, code, cause }: ErrorFields): string {
  const own = `${name}: ${message}${code === undefined ? '' : ` (${String(code)})`}`
  return isErrorFields(cause?.error) ? `${own}, caused by ${describeError(cause.error)}` : own
}

/** An error without a code is a bug, so its stack is needed. */
function stackOf({ error }: Record<string, unknown>): string {
  if (!isErrorFields(error) || error.code !== undefined || error.stack === undefined) return ''
  return error.stack.replace(/^.*?(?=\n {4}at )/s, '')
}
