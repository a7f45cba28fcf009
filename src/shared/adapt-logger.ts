// Adapts the logger of an app: the order of its arguments, the text for `console`, and masked phone numbers. log.ts has our
// own logger.
import { ConfigError } from './errors.ts'
import { LEVELS, type Logger, type LogLevel, maskDeep, maskNumbersIn } from './log.ts'
import { formatLogText } from './log-text.ts'

/** A pino logger, which takes the fields first. The `log` of a Fastify app is one. */
export interface PinoLogger {
  error(fields: object, message: string): unknown
  warn(fields: object, message: string): unknown
  info(fields: object, message: string): unknown
  debug(fields: object, message: string): unknown
  bindings(): object
  child(bindings: object): unknown
}

/** winston, pino, Fastify's `app.log`, `console`, or any object with these functions that take message and fields. */
export type AppLogger = Logger | PinoLogger

type Fields = Readonly<Record<string, unknown>>
type Write = (level: LogLevel, message: string, fields: Fields) => unknown

/**
 * A logger that fails changes no result: when a line is logged, Twilio may have the message already. Node prints a
 * warning at its first failure.
 *
 * @param consoleLevel the least important level that `console` prints, because it has no level of its own
 * @throws ConfigError if one of the functions is missing
 */
export function adaptLogger(logger: AppLogger, consoleLevel: LogLevel): Logger {
  const missing = LEVELS.filter((level) => typeof logger[level] !== 'function')
  if (missing.length > 0) {
    throw new ConfigError(
      `The logger must have the functions ${LEVELS.join(', ')}. It does not have: ${missing.join(', ')}`,
    )
  }
  const write = writeTo(logger, consoleLevel)
  const warn = warnOnce()
  const at =
    (level: LogLevel) =>
    (message: string, fields: object = {}): void => {
      try {
        if (!isEnabled(logger, level)) return
        const written = write(level, maskNumbersIn(message), maskDeep(fields) as Fields)
        if (written instanceof Promise) written.catch(warn)
      } catch (error) {
        warn(error)
      }
    }
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') }
}

function writeTo(logger: AppLogger, consoleLevel: LogLevel): Write {
  if (isPino(logger)) return (level, message, fields) => logger[level](fields, message)
  if (!isConsole(logger)) return (level, message, fields) => logger[level](message, fields)
  // As one text: `console` would abbreviate nested fields, and use up fields for a % in the message.
  return (level, message, fields) => {
    if (LEVELS.indexOf(level) <= LEVELS.indexOf(consoleLevel)) logger[level](formatLogText(message, fields))
    return undefined
  }
}

function warnOnce(): (error: unknown) => void {
  let hasWarned = false
  return (error) => {
    if (hasWarned) return
    hasWarned = true
    const why = error instanceof Error ? maskNumbersIn(error.message) : typeof error
    process.emitWarning(`The app's logger failed, so lines of sms-retry are lost: ${why}`)
  }
}

function isPino(logger: AppLogger): logger is PinoLogger {
  return hasFunction(logger, 'bindings') && hasFunction(logger, 'child')
}

/** Also a Console of the app's own, and the one of a test runner. */
function isConsole(logger: Logger): boolean {
  return hasFunction(logger, 'table') && hasFunction(logger, 'groupCollapsed')
}

/** winston and pino answer this cheaply. Their level can change at any time. */
function isEnabled(logger: AppLogger, level: LogLevel): boolean {
  return !hasFunction(logger, 'isLevelEnabled') || logger.isLevelEnabled(level) !== false
}

function hasFunction<Name extends string>(
  value: object,
  name: Name,
): value is Record<Name, (...args: unknown[]) => unknown> {
  return name in value && typeof value[name as never] === 'function'
}
