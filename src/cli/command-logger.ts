// The log of a command that runs to its end: warnings and errors as text, unless LOG_LEVEL asks for more.
import { type Env, readConfig } from '../config/config.ts'
import { createLogger, type Logger } from '../shared/log.ts'

/** Ignores an invalid LOG_LEVEL: the command itself reads the whole configuration and reports it. */
export function createCommandLogger(env: Env): Logger {
  const { config } = readConfig({ LOG_LEVEL: env['LOG_LEVEL']?.trim() || 'warn' }, [])
  return createLogger({ level: config.logLevel, format: 'text' })
}
