// The output of the demo: a line of progress while it runs, and a table at the end.
import type { Overview } from '../db/overview.ts'
import type { OutageFigures } from './outage.ts'

const PLAIN_LINE_EVERY_MS = 2_000

/** Rewrites one line in a terminal; elsewhere, writes a new line every two seconds. */
export class Progress {
  readonly #expected: number
  readonly #startedMs = performance.now()
  #lastPlainMs = Number.NEGATIVE_INFINITY
  #last = ''

  constructor(expected: number) {
    this.#expected = expected
  }

  show({ messages, deliveredAtFirst, deliveredByRetry, retrying, failed }: Overview): void {
    const nowMs = performance.now()
    this.#last =
      `${this.#elapsed()}   sent ${messages}/${this.#expected}   delivered ${deliveredAtFirst + deliveredByRetry}` +
      ` (${deliveredByRetry} by retry)   waiting for a retry ${retrying}   failed ${failed}`
    if (process.stderr.isTTY) process.stderr.write(`\r${this.#last}\u001b[K`)
    else if (nowMs - this.#lastPlainMs >= PLAIN_LINE_EVERY_MS) {
      this.#lastPlainMs = nowMs
      process.stderr.write(`${this.#last}\n`)
    }
  }

  /** A line that stays. */
  note(text: string): void {
    const line = `${this.#elapsed()}   ${text}`
    process.stderr.write(process.stderr.isTTY ? `\r${line}\u001b[K\n` : `${line}\n`)
  }

  #elapsed(): string {
    return `${String(Math.floor((performance.now() - this.#startedMs) / 1000)).padStart(3)} s`
  }

  end(): void {
    process.stderr.write(process.stderr.isTTY ? '\n' : `${this.#last}\n`)
  }
}

/**
 * @param sentTwice the number of attempts that the simulator accepted more than once
 * @param outage null without an outage
 */
export function closingTable(overview: Overview, sentTwice: number, outage: OutageFigures | null): string {
  const { messages, deliveredAtFirst, deliveredByRetry, failed, inFlight, retried, retries } = overview
  const rows: [string, string][] = [
    ['Messages', `${messages}`],
    ['Delivered at first try', withShare(deliveredAtFirst, messages)],
    ['Recovered by retry', withShare(deliveredByRetry, messages)],
    ['Failed for good', withShare(failed, messages)],
    ['Not final', `${inFlight}`],
    ['Sent twice', `${sentTwice}`],
    ['Retried messages that got through', withShare(deliveredByRetry, retried)],
    ['Average retries of retried messages', retried === 0 ? '-' : (retries / retried).toFixed(2)],
    ...(outage === null ? [] : outageRows(outage)),
  ]
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column as 0 | 1].length)))
  const line = rows.map(([name, value]) => `${name.padEnd(widths[0] ?? 0)}  ${value}`)
  const rule = '-'.repeat((widths[0] ?? 0) + (widths[1] ?? 0) + 2)
  return ['', rule, ...line, rule].join('\n')
}

function outageRows(outage: OutageFigures): [string, string][] {
  return [
    ['Error code of the hold', `${outage.errorCode ?? '-'}`],
    ['Requests in the outage before the hold', `${outage.requestsBeforeHold}`],
    ['Requests in the outage during the hold', `${outage.requestsDuringHold}`],
    ['Failed probes', `${outage.failedProbes}`],
  ]
}

function withShare(count: number, all: number): string {
  return all === 0 ? `${count}` : `${String(count).padEnd(5)} ${((100 * count) / all).toFixed(1)} %`
}
