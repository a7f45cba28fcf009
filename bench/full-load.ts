// As many callbacks as an endpoint can take. The load shares the machine with what it measures, and wrk leaves more of it
// than autocannon: so wrk is taken where it is installed.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { CONNECTIONS, type LoadResult, openLoad, TIMEOUT_SECONDS } from './load.ts'
import { endWithUs } from './processes.ts'
import { type Callback, lastCallbackOf, signedRequest } from './signed-callback.ts'

export interface FullLoad {
  /** Sends the first `amount` callbacks, each once, as fast as 64 connections get their answers. */
  send(url: string, amount: number): Promise<LoadResult>
  close(): Promise<void>
}

/**
 * @param ids the messages
 * @param callbacks in the order in which they are sent
 */
export async function openFullLoad(
  ids: readonly number[],
  callbacks: readonly Callback[] = ids.map(lastCallbackOf),
): Promise<FullLoad> {
  if ((await wrkVersion()) !== null) return wrkLoad(callbacks.map(signedRequest))
  const load = await openLoad(ids, callbacks)
  return {
    send: (url, amount) => load.send({ urls: [url], amount }),
    close: () => load.close(),
  }
}

/** Null if wrk is not installed. */
export function wrkVersion(): Promise<string | null> {
  return new Promise((resolve) => {
    // Its exit code is 1: it would like to be told a URL.
    execFile('wrk', ['--version'], (_error, output) => resolve(/^wrk (\S+)/.exec(output)?.[1] ?? null))
  })
}

const SCRIPT = fileURLToPath(new URL('wrk.lua', import.meta.url))
/** wrk would go on until then, if the script did not tell that all are answered. */
const GIVEN_UP_SECONDS = 120

function wrkLoad(requests: readonly Buffer[]): FullLoad {
  const options = Object.entries({
    threads: 1,
    connections: CONNECTIONS,
    timeout: `${TIMEOUT_SECONDS}s`,
    duration: `${GIVEN_UP_SECONDS}s`,
    script: SCRIPT,
  }).flatMap(([name, value]) => [`--${name}`, `${value}`])
  return {
    async send(url, amount) {
      const args = [...options, url, '--', `${amount}`, `${CONNECTIONS}`]
      const wrk = spawn('wrk', args, { stdio: ['pipe', 'pipe', 'inherit'] })
      endWithUs(wrk)
      const ended = once(wrk, 'exit')
      // It may end before it has read them, and then says why.
      wrk.stdin.on('error', () => undefined)
      for (const request of requests.slice(0, amount)) {
        wrk.stdin.write(request.length.toString(16).padStart(8, '0'))
        wrk.stdin.write(request)
      }
      wrk.stdin.end()
      let report = ''
      for await (const line of createInterface(wrk.stdout)) {
        if (line === 'answered') wrk.kill('SIGINT')
        if (line.startsWith('{')) report = line
      }
      await ended
      return resultOf(report, amount)
    },
    async close() {},
  }
}

/** @param report as wrk.lua writes it */
function resultOf(report: string, amount: number): LoadResult {
  if (report === '') throw new Error('The load failed: wrk has ended without a report')
  const { answered, failed, seconds, p50Ms, p99Ms } = JSON.parse(report)
  if (answered !== amount || failed > 0) {
    throw new Error(`The load failed: of ${amount} callbacks, ${answered} were answered; ${failed} errors`)
  }
  return { seconds, p50Ms, p99Ms }
}
