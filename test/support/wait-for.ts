import { setTimeout as sleep } from 'node:timers/promises'

/** Only a failure waits so long: a busy machine needs more than an idle one. */
const MAX_WAIT_MS = 120_000

/** Polls until the condition gives something true; says what it waited for if that does not happen. */
export async function waitFor<T>(
  what: string,
  condition: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = MAX_WAIT_MS,
): Promise<T> {
  const givenUpMs = performance.now() + timeoutMs
  for (;;) {
    const result = await condition()
    if (result !== false && result !== null && result !== undefined) return result
    if (performance.now() > givenUpMs) throw new Error(`Waited ${timeoutMs} ms in vain for: ${what}`)
    await sleep(20)
  }
}
