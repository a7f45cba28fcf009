// Logging by winston: JSON in production, readable lines in a terminal. One line per outcome, with message and
// attempt, is written at the edges (use cases, http, worker). Nothing personal: phone numbers are masked here
// once more, in case that an error's text carries one.
import { createRequire } from 'node:module'
import type winston from 'winston'
import { printableJson, printableLine, printableLines } from './printable.ts'

/**
 * What sms-retry needs of a logger; a winston logger fits, and so does `console`. A message's id comes in the field
 * `messageId`: `message` is winston's own.
 */
export interface Logger {
  error(message: string, fields?: object): unknown
  warn(message: string, fields?: object): unknown
  info(message: string, fields?: object): unknown
  debug(message: string, fields?: object): unknown
}

const NUMBER_IN_TEXT = /\+\d{3,11}(\d{4})\b/g

/** As many of a phone number as are shown: they tell two recipients apart and reach nobody. */
export const SHOWN_DIGITS = 4

export function maskNumber(number: string): string {
  return `…${number.slice(-SHOWN_DIGITS)}`
}

/** A text, such as an error's, with its phone numbers masked. */
export function maskNumbersIn(text: string): string {
  return text.replace(NUMBER_IN_TEXT, '…$1')
}

/** Why a message is where it is, without its number, in whatever way that is written; it may be a text of the app's own. */
export function maskReason(reason: string, to: string): string {
  const digits = to.replaceAll(/\D/g, '')
  if (digits === '') return maskNumbersIn(reason)
  const optional = [...digits.slice(0, -LOCAL_DIGITS)].map((digit) => `(?:${digit}${BETWEEN_DIGITS})?`)
  const local = [...digits.slice(-LOCAL_DIGITS)].join(BETWEEN_DIGITS)
  const written = new RegExp(`[+(]?${optional.join('')}${local}`, 'g')
  return maskNumbersIn(reason.replaceAll(written, maskNumber(to)))
}

/** Countries and areas may be left out in front of them. */
const LOCAL_DIGITS = 7
const BETWEEN_DIGITS = '[ ().-]{0,3}'

/** The facts of an error that help and that hold no row contents (PostgreSQL's `detail` does). */
export function errorFields(error: unknown): object {
  if (!(error instanceof Error)) return { error: String(error) }
  const { name, message, stack, cause } = error
  const code = 'code' in error ? error.code : undefined
  return {
    error: { name, message, code, stack, ...(cause === undefined ? {} : { cause: errorFields(cause) }) },
  }
}

/** When it is first needed: an app that has a logger of its own need not pay for this one. */
const loadWinston = (): typeof winston => createRequire(import.meta.url)('winston')

export type Log = (message: string, fields: object) => void

/**
 * The same log, for what may happen a thousand times a second: the first one, then the last one of each period, with the
 * number of those that were left out since the line before. The last period ends without a line if it has none.
 */
export function throttledLog(log: Log, everyMs: number): Log {
  let isWaiting = false
  let last: [message: string, fields: object] | null = null
  let notLogged = 0
  const write = (message: string, fields: object): void => {
    log(message, { ...fields, notLogged })
    last = null
    notLogged = 0
    isWaiting = true
    // A process that ends does not wait for it.
    setTimeout(() => {
      isWaiting = false
      if (last === null) return
      // That one is logged now.
      notLogged -= 1
      write(...last)
    }, everyMs).unref()
  }
  return (message, fields) => {
    if (!isWaiting) return write(message, fields)
    last = [message, fields]
    notLogged += 1
  }
}

export function createLogger(options: { level: string; format: 'json' | 'text' }): Logger {
  const winston = loadWinston()
  const { combine, timestamp, json, colorize, printf } = winston.format
  const readable = combine(
    // hasColors honours NO_COLOR.
    ...(process.stderr.isTTY && process.stderr.hasColors() ? [colorize()] : []),
    printf(({ timestamp: at, level, message, ...fields }) => {
      const rest = Object.entries(fields).map(inWords).join('')
      return `${String(at)} ${level} ${printableLine(String(message))}${rest}${printableLines(stackOf(fields))}`
    }),
  )
  const logger = winston.createLogger({
    level: options.level,
    format: combine(
      timestamp(),
      winston.format(masked)(),
      ...(options.format === 'json' ? [json(), winston.format(escaped)()] : [readable]),
    ),
    // Data belongs on stdout, words on stderr.
    transports: [new winston.transports.Console({ stderrLevels: [...LEVELS] })],
  })
  // Winston finds out late that nobody wants a line, when most of what it costs is spent.
  for (const level of LEVELS) if (!logger.isLevelEnabled(level)) logger[level] = () => logger
  return logger
}

const LEVELS = ['error', 'warn', 'info', 'debug'] as const

/** ` name=value` for a person at a terminal; nothing for what is not there. */
function inWords([name, value]: [string, unknown]): string {
  if (value === null || value === undefined) return ''
  if (isErrorFields(value)) return ` ${name}=${quoted(describeError(value))}`
  if (value instanceof Date) return ` ${name}=${value.toISOString()}`
  const isPlain = typeof value === 'string' && /^[^\s"=\p{Cc}\p{Bidi_Control}]+$/u.test(value)
  return ` ${name}=${isPlain ? value : quoted(value)}`
}

function quoted(value: unknown): string {
  return printableJson(String(JSON.stringify(value)))
}

/** As errorFields makes them. */
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

/** The error and its causes, in one line. */
function describeError({ name, message, code, cause }: ErrorFields): string {
  const own = `${name}: ${message}${code === undefined ? '' : ` (${String(code)})`}`
  return isErrorFields(cause?.error) ? `${own}, caused by ${describeError(cause.error)}` : own
}

/** An error with a code says what is wrong; any other one is a bug, and where it happened is what one wants to know. */
function stackOf({ error }: Record<string, unknown>): string {
  if (!isErrorFields(error) || error.code !== undefined || error.stack === undefined) return ''
  return error.stack.replace(/^.*?(?=\n {4}at )/s, '')
}

/** The finished line, for people who read it in a terminal. */
function escaped(info: winston.Logform.TransformableInfo): winston.Logform.TransformableInfo {
  return { ...info, [FINISHED_LINE]: printableJson(String(info[FINISHED_LINE])) }
}

/** Where winston keeps it. */
const FINISHED_LINE = Symbol.for('message')

/** Winston keeps the level and the finished line under symbols, which stay as they are. */
function masked(info: winston.Logform.TransformableInfo): winston.Logform.TransformableInfo {
  const symbols = Object.getOwnPropertySymbols(info).map((key) => [key, info[key as never]] as const)
  const fields = Object.entries(info).map(([key, value]) => [key, maskDeep(value)] as const)
  return Object.fromEntries([...fields, ...symbols]) as winston.Logform.TransformableInfo
}

function maskDeep(value: unknown): unknown {
  if (typeof value === 'string') return maskNumbersIn(value)
  if (Array.isArray(value)) return value.map(maskDeep)
  if (value instanceof Error) return maskDeep(errorFields(value))
  if (value === null || typeof value !== 'object' || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, maskDeep(inner)]))
}
