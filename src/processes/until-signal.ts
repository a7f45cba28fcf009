// How long-running commands end: SIGTERM or SIGINT, then an orderly stop, in less time than platforms grant.
import type { Logger } from '../shared/log.ts'

/** Heroku kills 30 seconds after SIGTERM. */
const STOP_TIMEOUT_MS = 25_000

/** Waits for SIGTERM or SIGINT, then stops. A second signal, or a stop that takes too long, ends the process. */
export async function runUntilSignal(stop: () => Promise<void>, logger: Logger): Promise<void> {
  const signal = await nextSignal()
  logger.info('Stopping', { signal })
  void nextSignal().then(() => process.exit(1))
  const overdue = setTimeout(() => {
    logger.error('Not stopped in time', { timeoutMs: STOP_TIMEOUT_MS })
    process.exit(1)
  }, STOP_TIMEOUT_MS)
  await stop()
  clearTimeout(overdue)
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/** Resolves with the name of the next SIGTERM or SIGINT, which then does not end the process by itself. */
export function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    const onSignal = (signal: string): void => {
      for (const name of SIGNALS) process.off(name, onSignal)
      resolve(signal)
    }
    for (const name of SIGNALS) process.on(name, onSignal)
  })
}
