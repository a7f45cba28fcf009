// The log of a command that ends by itself: for the person who called it, and quieter than that of a process.
import { type Env, readConfig } from '../config/config.ts'
import { createLogger, type Logger } from '../shared/log.ts'

/** A LOG_LEVEL that cannot be read is named by the command, which reads the whole configuration. */
export function createCommandLogger(env: Env): Logger {
  const { config } = readConfig({ LOG_LEVEL: env['LOG_LEVEL']?.trim() || 'warn' }, [])
  return createLogger({ level: config.logLevel, format: 'text' })
}
