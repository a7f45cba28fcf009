// Logging with winston: JSON in production, readable lines in a terminal. Use cases, http and worker log one line per outcome.
// Logs must contain no personal data; as a safeguard, phone numbers in texts are masked here. adapt-logger.ts adapts an
// app's own logger.
import { createRequire } from 'node:module'
import type winston from 'winston'
import { formatLogText } from './log-text.ts'
import { printableJson } from './printable.ts'

export const LEVELS = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof LEVELS)[number]

/**
 * A logger that takes the message first, such as winston's. The id of a message is in the field `messageId`, because winston
 * uses `message`.
 */
export interface Logger {
  error(message: string, fields?: object): unknown
  warn(message: string, fields?: object): unknown
  info(message: string, fields?: object): unknown
  debug(message: string, fields?: object): unknown
}

const NUMBER_IN_TEXT = /\+\d{3,11}(\d{4})\b/g

/** How many digits of a phone number are shown: enough to tell recipients apart, too few to reach them. */
export const SHOWN_DIGITS = 4

export function maskNumber(number: string): string {
  return `…${number.slice(-SHOWN_DIGITS)}`
}

/** A text, such as an error message, with its phone numbers masked. */
export function maskNumbersIn(text: string): string {
  return text.replace(NUMBER_IN_TEXT, '…$1')
}

/** The reason on a row with the recipient's number masked, in any notation, because the app may have written it. */
export function maskReason(reason: string, to: string): string {
  const digits = to.replaceAll(/\D/g, '')
  if (digits === '') return maskNumbersIn(reason)
  const optional = [...digits.slice(0, -LOCAL_DIGITS)].map((digit) => `(?:${digit}${BETWEEN_DIGITS})?`)
  const local = [...digits.slice(-LOCAL_DIGITS)].join(BETWEEN_DIGITS)
  const written = new RegExp(`[+(]?${optional.join('')}${local}`, 'g')
  return maskNumbersIn(reason.replaceAll(written, maskNumber(to)))
}

/** The last digits of a number; country and area code before them are optional. */
const LOCAL_DIGITS = 7
const BETWEEN_DIGITS = '[ ().-]{0,3}'

/** An error of the app may be its own cause. */
const MAX_CAUSES = 5

/** The fields of an error that are safe to log. PostgreSQL's `detail` is not: it contains values of the row. */
export function errorFields(error: unknown, causesLeft = MAX_CAUSES): object {
  if (!(error instanceof Error)) return { error: String(error) }
  const { name, message, stack, cause } = error
  const code = 'code' in error ? error.code : undefined
  const isLast = cause === undefined || causesLeft === 0
  return {
    error: { name, message, code, stack, ...(isLast ? {} : { cause: errorFields(cause, causesLeft - 1) }) },
  }
}

/** Loaded on first use: an app with its own logger does not need it. */
const loadWinston = (): typeof winston => createRequire(import.meta.url)('winston')

export type Log = (message: string, fields: object) => void

/**
 * Throttles a log line that may occur a thousand times a second. Logs the first one, then the last one of each period, with
 * the number of skipped lines in `notLogged`.
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
    // unref(): the timer does not keep the process alive.
    setTimeout(() => {
      isWaiting = false
      if (last === null) return
      // The last one is logged now, so it does not count as skipped.
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
    printf(
      ({ timestamp: at, level, message, ...fields }) =>
        `${String(at)} ${level} ${formatLogText(String(message), fields)}`,
    ),
  )
  const logger = winston.createLogger({
    level: options.level,
    format: combine(
      timestamp(),
      winston.format(masked)(),
      ...(options.format === 'json' ? [json(), winston.format(escaped)()] : [readable]),
    ),
    // stdout is for data.
    transports: [new winston.transports.Console({ stderrLevels: [...LEVELS] })],
  })
  // Winston checks the level late, after most of the work.
  for (const level of LEVELS) if (!logger.isLevelEnabled(level)) logger[level] = () => logger
  return logger
}

/** Escapes the finished JSON line, which people may read in a terminal. */
function escaped(info: winston.Logform.TransformableInfo): winston.Logform.TransformableInfo {
  return { ...info, [FINISHED_LINE]: printableJson(String(info[FINISHED_LINE])) }
}

/** The key under which winston stores it. */
const FINISHED_LINE = Symbol.for('message')

/** Winston stores the level and the finished line under symbols, which are copied unchanged. */
function masked(info: winston.Logform.TransformableInfo): winston.Logform.TransformableInfo {
  const symbols = Object.getOwnPropertySymbols(info).map((key) => [key, info[key as never]] as const)
  const fields = Object.entries(info).map(([key, value]) => [key, maskDeep(value)] as const)
  return Object.fromEntries([...fields, ...symbols]) as winston.Logform.TransformableInfo
}

/** A copy with all phone numbers masked, in nested values as well. */
export function maskDeep(value: unknown): unknown {
  if (typeof value === 'string') return maskNumbersIn(value)
  if (Array.isArray(value)) return value.map(maskDeep)
  if (value instanceof Error) return maskDeep(errorFields(value))
  if (value === null || typeof value !== 'object' || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, maskDeep(inner)]))
}
