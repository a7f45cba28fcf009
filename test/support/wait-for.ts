import { setTimeout as sleep } from 'node:timers/promises'

/** Only a failure waits so long: a busy machine needs more than an idle one. */
const MAX_WAIT_MS = 120_000

/** Polls are close together at first, and further apart later: they take processor time from what is waited for. */
const FIRST_PAUSE_MS = 10
const MAX_PAUSE_MS = 100

/** Polls until the condition gives something true; says what it waited for if that does not happen. */
export async function waitFor<T>(
  what: string,
  condition: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = MAX_WAIT_MS,
): Promise<T> {
  const givenUpMs = performance.now() + timeoutMs
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.25, MAX_PAUSE_MS)) {
    const result = await condition()
    if (result !== false && result !== null && result !== undefined) return result
    if (performance.now() > givenUpMs) throw new Error(`Waited ${timeoutMs} ms in vain for: ${what}`)
    await sleep(pauseMs)
  }
}
