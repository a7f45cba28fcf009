// Callbacks from a process of their own: signed once, before any clock runs, and then sent to whatever port, as often as
// wanted. Every callback has to be answered with 2xx; otherwise the measurement fails.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { endWithUs } from './processes.ts'
import { type Callback, lastCallbackOf } from './signed-callback.ts'

export const CONNECTIONS = 64
/** After it, an answer counts as a failure. */
export const TIMEOUT_SECONDS = 30

export type LoadOrder =
  | { readonly kind: 'sign'; readonly callbacks: readonly Callback[] }
  | {
      readonly kind: 'send'
      readonly urls: readonly string[]
      readonly from: number
      readonly amount: number
      readonly perSecond: number | null
      readonly uncounted: number
    }

type LoadReport =
  | { readonly kind: 'signed' }
  | { readonly kind: 'sent'; readonly result: LoadResult }
  | { readonly kind: 'failed'; readonly why: string }

export interface LoadResult {
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface Load {
  /** The messages whose callbacks are signed, in the order in which they are sent. */
  readonly ids: readonly number[]
  /**
   * Sends `amount` callbacks, each once, from the `from`-th on.
   *
   * @param urls where; the connections are spread evenly over them
   * @param perSecond as fast as 64 connections get their answers, if there is none
   * @param uncounted the first so many are left out of the latencies
   */
  send(options: {
    readonly urls: readonly string[]
    readonly from?: number
    readonly amount: number
    readonly perSecond?: number
    readonly uncounted?: number
  }): Promise<LoadResult>
  close(): Promise<void>
}

export async function openLoad(
  ids: readonly number[],
  callbacks: readonly Callback[] = ids.map(lastCallbackOf),
): Promise<Load> {
  const generator = fork(fileURLToPath(new URL('load-generator.ts', import.meta.url)), {
    serialization: 'advanced',
  })
  endWithUs(generator)
  const order = async (what: LoadOrder): Promise<LoadReport> => {
    // Whatever comes second is not waited for any more.
    const answered = new AbortController()
    const next = (event: string): Promise<unknown[]> => once(generator, event, { signal: answered.signal })
    const answer = Promise.race([
      next('message').then(([report]) => report as LoadReport),
      next('exit').then((): LoadReport => ({ kind: 'failed', why: 'the load generator has ended' })),
    ])
    generator.send(what)
    const report = await answer.finally(() => answered.abort())
    if (report.kind === 'failed') throw new Error(`The load failed: ${report.why}`)
    return report
  }
  await order({ kind: 'sign', callbacks })
  return {
    ids,
    async send({ urls, from = 0, amount, perSecond = null, uncounted = 0 }) {
      const report = await order({ kind: 'send', urls, from, amount, perSecond, uncounted })
      if (report.kind !== 'sent') throw new Error('The load generator has sent nothing')
      return report.result
    },
    async close() {
      const ended = once(generator, 'exit')
      generator.disconnect()
      await ended
    },
  }
}

/** first, first + 1, ... */
export function idsFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}
