// The logger of commands that run once, such as `send`: text, and only warnings and errors unless LOG_LEVEL is set.
import { type Env, readConfig } from '../config/config.ts'
import { createLogger, type Logger } from '../shared/log.ts'

/** Ignores an invalid LOG_LEVEL: the command itself reads the whole configuration and reports it. */
export function createCommandLogger(env: Env): Logger {
  const { config } = readConfig({ LOG_LEVEL: env['LOG_LEVEL']?.trim() || 'warn' }, [])
  return createLogger({ level: config.logLevel, format: 'text' })
}
