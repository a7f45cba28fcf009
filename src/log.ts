// Logging by winston: JSON in production, readable lines in a terminal. One line per outcome, with message and
// attempt, is written at the edges (use cases, http, worker). Nothing personal: phone numbers are masked here
// once more, in case that an error's text carries one.
import winston from 'winston'

/** What sms-retry needs of a logger; a winston or pino logger fits, and so does `console` in a wrapper. */
export interface Logger {
  error(message: string, fields?: object): unknown
  warn(message: string, fields?: object): unknown
  info(message: string, fields?: object): unknown
  debug(message: string, fields?: object): unknown
}

const NUMBER_IN_TEXT = /\+\d{3,11}(\d{4})\b/g

/** The last four digits of a phone number, which tell two recipients apart and reach nobody. */
export function maskNumber(number: string): string {
  return `…${number.slice(-4)}`
}

/** The facts of an error that help and that hold no row contents (PostgreSQL's `detail` does). */
export function errorFields(error: unknown): object {
  if (!(error instanceof Error)) return { error: String(error) }
  const { name, message, stack, cause } = error
  const code = 'code' in error ? error.code : undefined
  return {
    error: { name, message, code, stack, ...(cause === undefined ? {} : { cause: errorFields(cause) }) },
  }
}

export function createLogger(options: { level: string; format: 'json' | 'text' }): Logger {
  const { combine, timestamp, json, colorize, printf } = winston.format
  const readable = combine(
    ...(process.stderr.isTTY && process.env['NO_COLOR'] === undefined ? [colorize()] : []),
    printf(({ timestamp: at, level, message, ...fields }) => {
      const rest = Object.keys(fields).length === 0 ? '' : ` ${JSON.stringify(fields)}`
      return `${String(at)} ${level} ${String(message)}${rest}`
    }),
  )
  return winston.createLogger({
    level: options.level,
    format: combine(timestamp(), masked(), options.format === 'json' ? json() : readable),
    // Data belongs on stdout, words on stderr.
    transports: [new winston.transports.Console({ stderrLevels: ['error', 'warn', 'info', 'debug'] })],
  })
}

const masked = winston.format((info) => maskDeep(info) as winston.Logform.TransformableInfo)

function maskDeep(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(NUMBER_IN_TEXT, '…$1')
  if (value === null || typeof value !== 'object' || value instanceof Date) return value
  // In place, because winston keeps its own symbols on the object.
  for (const [key, inner] of Object.entries(value)) {
    const cleaned = maskDeep(inner)
    if (cleaned !== inner) Object.assign(value, { [key]: cleaned })
  }
  return value
}
