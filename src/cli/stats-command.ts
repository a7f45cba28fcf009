// The command `stats`: how many messages were delivered, whether the targets are met, and why the others failed.
import type { Env } from '../config/config.ts'
import { countFailures, type Failures, MAX_READ_FAILURES } from '../db/failures.ts'
import { readSegmentPrice } from '../db/segment-price.ts'
import { countMessages, type Overview } from '../db/overview.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import { type Target, targetsOf } from '../delivery/targets.ts'
import {
  money,
  priceWords,
  type RetryFigures,
  type SegmentPrice,
  segmentsPerRecovered,
} from '../evidence/retry-cost.ts'
import { count, duration, share } from '../shared/figures.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { type Cell, table } from './table.ts'
import { withDatabase } from './with-database.ts'

export async function statsCommand(
  env: Env,
  { since, json }: { readonly since: number; readonly json?: true },
): Promise<void> {
  const { overview, failures, price } = await withDatabase(env, async (database) => ({
    overview: await countMessages(database, since),
    failures: await countFailures(database, since),
    price: await readSegmentPrice(database, since),
  }))
  if (json) printJson(statsJson(since, overview, failures, price))
  else print(statsView(since, overview, failures, price))
  if (!failures.isComplete) {
    printStatus(
      `Error codes are counted only for the newest ${count(MAX_READ_FAILURES)} messages that failed or were retried.`,
    )
  }
}

/** Stable: keys are added, never renamed. The value of a target is null while no messages count towards it. */
function statsJson(
  sinceSeconds: number,
  overview: Overview,
  { codes, isComplete }: Failures,
  segmentPrice: SegmentPrice | null,
): object {
  return {
    sinceSeconds,
    ...overview,
    targets: targetsOf(overview).map(({ name, wanted, value, isMet }) => ({ name, wanted, value, isMet })),
    failures: {
      isComplete,
      codes: codes.map(({ cost, ...entry }) => ({
        ...entry,
        cost: {
          ...cost,
          segmentsPerRecovered: segmentsPerRecovered({ ...cost, recovered: entry.recovered }),
        },
        reason: reasonOf(entry.code),
      })),
    },
    segmentPrice,
  }
}

function statsView(
  sinceSeconds: number,
  overview: Overview,
  { codes }: Failures,
  price: SegmentPrice | null,
): string {
  const head = `The last ${duration(sinceSeconds)}`
  const parts = [
    table([head, 'MESSAGES', 'SHARE'], figures(overview)),
    table(['TARGET', 'ACTUAL', 'WANTED', 'OF'], targetsOf(overview).map(targetRow)),
  ]
  if (codes.length > 0) {
    const rows = codes.map(({ code, attempts, messages, recovered, cost }) => [
      code === null ? 'none' : `${code}`,
      `${attempts}`,
      `${messages}`,
      share(recovered, messages),
      costWords({ ...cost, recovered }, price),
      reasonOf(code),
    ])
    parts.push(table(['FAILED WITH', 'ATTEMPTS', 'MESSAGES', 'RECOVERED', 'COST OF ONE', 'REASON'], rows))
    if (price !== null) parts.push(priceWords(price))
  }
  return parts.join('\n\n')
}

/** Of one recovered message: the segments of the retries, and what they cost. */
function costWords(figures: RetryFigures, price: SegmentPrice | null): string {
  const segments = segmentsPerRecovered(figures)
  if (segments === null) return '–'
  const words = `${segments.toFixed(1)} segments`
  return price === null ? words : `${words}, ${money(segments, price)}`
}

function figures(overview: Overview): Cell[][] {
  const { messages, deliveredAtFirst, deliveredByRetry, failed, canceled, inFlight, retrying } = overview
  const row = (name: string, size: number): Cell[] => [name, `${size}`, share(size, messages)]
  return [
    ['Messages', `${messages}`],
    row('Delivered at first try', deliveredAtFirst),
    row('Recovered by retry', deliveredByRetry),
    row('Failed for good', failed),
    row('Canceled', canceled),
    row('In progress', inFlight),
    row('  waiting for a retry', retrying),
  ]
}

function targetRow({ name, of, wanted, value, isMet }: Target): Cell[] {
  const isShare = 'above' in wanted
  const shown = value === null ? '–' : isShare ? share(value, 1) : value.toFixed(2)
  return [
    name,
    isMet === null ? shown : { text: shown, style: isMet ? 'green' : 'red' },
    isShare ? `> ${wanted.above * 100} %` : `< ${wanted.below}`,
    of,
  ]
}
