// `policy --replay`: what a policy file would have done with the failed messages of the last days.
import { type Env, parseConfig } from '../config/config.ts'
import { readHistory } from '../db/read-history.ts'
import { readSegmentPrice } from '../db/segment-price.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import { createRetryPolicy } from '../delivery/retry-policy.ts'
import type { History } from '../evidence/history.ts'
import { type Estimate, type Happened, type Replay, replay, type ReplayRow } from '../evidence/replay.ts'
import { priceWords, type SegmentPrice, segmentsPerRecovered } from '../evidence/retry-cost.ts'
import { readPolicyFile } from '../processes/runtime.ts'
import { formatEstimate } from '../shared/estimate-words.ts'
import { count, duration } from '../shared/figures.ts'
import { print, printJson } from '../shared/output.ts'
import { printLeftOut, roundEstimate, roundEstimates } from './policy-evidence.ts'
import { type Cell, table } from './table.ts'
import { withDatabase } from './with-database.ts'

export async function replayPolicy(
  env: Env,
  file: string,
  { since, json }: { readonly since: number; readonly json: boolean },
): Promise<void> {
  const config = parseConfig(env, ['DATABASE_URL'])
  const inForce = createRetryPolicy(readPolicyFile(config.retryPolicyFile), config.retryDelayScale)
  const policy = createRetryPolicy(readPolicyFile(file, file), config.retryDelayScale)
  const { history, price } = await withDatabase(env, async (database) => ({
    history: await readHistory(database, since),
    price: await readSegmentPrice(database, since),
  }))
  const replayed = replay(history, policy, inForce)
  if (json) printJson(replayJson(since, history, replayed, price))
  else print(replayView(since, replayed, price))
  printLeftOut(history)
}

/** Stable: keys are added, never renamed. */
function replayJson(
  sinceSeconds: number,
  { isComplete, leftOut }: History,
  { codes, total }: Replay,
  segmentPrice: SegmentPrice | null,
): object {
  return {
    sinceSeconds,
    isComplete,
    leftOut,
    codes: codes.map(({ code, ...row }) => ({ code, ...rowJson(row), reason: reasonOf(code) })),
    total: rowJson(total),
    segmentPrice,
  }
}

function rowJson({ messages, happened, replayed }: ReplayRow): object {
  const { segments, segmentsPerRecovered: ofOne, ...others } = replayed
  return {
    messages,
    happened: { ...happened, segmentsPerRecovered: costOf(happened) },
    replayed: {
      ...roundEstimates(others),
      segments: segments && roundEstimate(segments),
      segmentsPerRecovered: ofOne && roundEstimate(ofOne),
    },
  }
}

const costOf = ({ unmeasuredRetries, ...happened }: Happened): number | null =>
  segmentsPerRecovered({ ...happened, segmentsUnknown: unmeasuredRetries })

function replayView(sinceSeconds: number, { codes, total }: Replay, price: SegmentPrice | null): string {
  if (codes.length === 0) return `No message failed in the last ${duration(sinceSeconds)}.`
  const rows = codes.map(({ code, ...row }) => [
    ...cellsOf(code === null ? 'none' : `${code}`, row, price),
    reasonOf(code),
  ])
  const head = ['CODE', 'MESSAGES', ...FIGURES.flatMap((name) => [name, 'REPLAYED']), 'NOT KNOWN', 'REASON']
  const notes = [
    `Messages that failed in the last ${duration(sinceSeconds)}, by the code of their first failure. REPLAYED is the estimate with the policy file, with its 90 % interval.`,
  ]
  if (total.replayed.unknown.high > 0)
    notes.push(
      'NOT KNOWN are messages that reach a retry which the history says nothing about. They count neither as recovered nor as lost.',
    )
  const { unmeasuredRetries, retries } = total.happened
  if (unmeasuredRetries > 0)
    notes.push(
      `The segments of ${count(unmeasuredRetries)} of ${count(retries)} retries are not known. REPLAYED assumes the mean of the code's other messages.`,
    )
  notes.push(
    'COST OF ONE is what the retries cost for each recovered message.',
    ...(price === null ? [] : [priceWords(price)]),
  )
  return `${table(head, [...rows, cellsOf('total', total, price)])}\n\n${notes.join('\n')}`
}

const FIGURES = ['RETRIES', 'SEGMENTS', 'RECOVERED', 'LOST', 'COST OF ONE']

function cellsOf(
  name: string,
  { messages, happened, replayed }: ReplayRow,
  price: SegmentPrice | null,
): Cell[] {
  const isUnmeasured = happened.retries > 0 && happened.retries === happened.unmeasuredRetries
  const { amount, unit, digits } =
    price === null ? { amount: 1, unit: 'segments', digits: 1 } : { ...price, digits: 4 }
  const cost = (segments: number): string => (segments * amount).toFixed(digits)
  const ofOne = costOf(happened)
  const replayedOfOne = replayed.segmentsPerRecovered
  const pair = (figure: number, estimate: Estimate): string[] => [count(figure), formatEstimate(estimate)]
  return [
    name,
    count(messages),
    ...pair(happened.retries, replayed.retries),
    isUnmeasured ? '–' : count(happened.segments),
    replayed.segments === null ? '–' : formatEstimate(replayed.segments),
    ...pair(happened.recovered, replayed.recovered),
    ...pair(happened.lost, replayed.lost),
    ofOne === null ? '–' : `${cost(ofOne)} ${unit}`,
    replayedOfOne === null ? '–' : `${formatEstimate(replayedOfOne, cost)} ${unit}`,
    replayed.unknown.high === 0 ? '–' : formatEstimate(replayed.unknown),
  ]
}
