import { setTimeout as sleep } from 'node:timers/promises'

/** Only a failure waits so long: a busy machine needs more than an idle one. */
const MAX_WAIT_MS = 120_000

/**
 * Polls are close together at first. Later they are 100 ms apart, and after two seconds a twentieth of the time so far:
 * they take processor time from what is waited for.
 */
const FIRST_PAUSE_MS = 10
const maxPauseMs = (waitedMs: number): number => Math.min(Math.max(waitedMs / 20, 100), 1_000)

/** Polls until the condition gives something true; says what it waited for if that does not happen. */
export async function waitFor<T>(
  what: string,
  condition: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = MAX_WAIT_MS,
): Promise<T> {
  const startedMs = performance.now()
  for (let pauseMs = FIRST_PAUSE_MS; ; ) {
    const result = await condition()
    if (result !== false && result !== null && result !== undefined) return result
    const waitedMs = performance.now() - startedMs
    if (waitedMs > timeoutMs) throw new Error(`Waited ${timeoutMs} ms in vain for: ${what}`)
    await sleep(pauseMs)
    pauseMs = Math.min(pauseMs * 1.25, maxPauseMs(waitedMs))
  }
}
