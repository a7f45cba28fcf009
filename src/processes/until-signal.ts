// Stops a long-running command cleanly on SIGTERM or SIGINT, within the time that platforms allow.
import type { Logger } from '../shared/log.ts'
import { PROCESS_STOP_TIMEOUT_MS } from './stop-timeouts.ts'

/** Waits for SIGTERM or SIGINT, then stops. A second signal, or a stop that takes too long, ends with exit code 1. */
export async function runUntilSignal(stop: () => Promise<void>, logger: Logger): Promise<void> {
  const signal = await nextSignal()
  logger.info('Stopping', { signal })
  void nextSignal().then(() => process.exit(1))
  const overdue = setTimeout(() => {
    logger.error('Stop timed out; exiting', { timeoutMs: PROCESS_STOP_TIMEOUT_MS })
    process.exit(1)
  }, PROCESS_STOP_TIMEOUT_MS)
  await stop()
  clearTimeout(overdue)
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/** Resolves with the name of the next SIGTERM or SIGINT, and keeps that signal from killing the process. */
export function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    const onSignal = (signal: string): void => {
      for (const name of SIGNALS) process.off(name, onSignal)
      resolve(signal)
    }
    for (const name of SIGNALS) process.on(name, onSignal)
  })
}
