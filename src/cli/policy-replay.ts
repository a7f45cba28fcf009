// `policy --replay`: what a policy file would have done with the failed messages of the last days.
import { type Env, parseConfig } from '../config/config.ts'
import { readHistory } from '../db/read-history.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import { createRetryPolicy } from '../delivery/retry-policy.ts'
import type { History } from '../evidence/history.ts'
import { type Estimate, type Replay, replay, type ReplayRow } from '../evidence/replay.ts'
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
  const history = await withDatabase(env, (database) => readHistory(database, since))
  const replayed = replay(history, policy, inForce)
  if (json) printJson(replayJson(since, history, replayed))
  else print(replayView(since, replayed))
  printLeftOut(history)
}

/** Stable: keys are added, never renamed. */
function replayJson(
  sinceSeconds: number,
  { isComplete, leftOut }: History,
  { codes, total }: Replay,
): object {
  return {
    sinceSeconds,
    isComplete,
    leftOut,
    codes: codes.map(({ code, ...row }) => ({ code, ...rowJson(row), reason: reasonOf(code) })),
    total: rowJson(total),
  }
}

function rowJson({ messages, happened, replayed: { segments, ...replayed } }: ReplayRow): object {
  return {
    messages,
    happened,
    replayed: { ...roundEstimates(replayed), segments: segments && roundEstimate(segments) },
  }
}

function replayView(sinceSeconds: number, { codes, total }: Replay): string {
  if (codes.length === 0) return `No message failed in the last ${duration(sinceSeconds)}.`
  const rows = codes.map(({ code, ...row }) => [
    ...cellsOf(code === null ? 'none' : `${code}`, row),
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
  return `${table(head, [...rows, cellsOf('total', total)])}\n\n${notes.join('\n')}`
}

const FIGURES = ['RETRIES', 'SEGMENTS', 'RECOVERED', 'LOST']

function cellsOf(name: string, { messages, happened, replayed }: ReplayRow): Cell[] {
  const isUnmeasured = happened.retries > 0 && happened.retries === happened.unmeasuredRetries
  const pair = (figure: number, estimate: Estimate): string[] => [count(figure), formatEstimate(estimate)]
  return [
    name,
    count(messages),
    ...pair(happened.retries, replayed.retries),
    isUnmeasured ? '–' : count(happened.segments),
    replayed.segments === null ? '–' : formatEstimate(replayed.segments),
    ...pair(happened.recovered, replayed.recovered),
    ...pair(happened.lost, replayed.lost),
    replayed.unknown.high === 0 ? '–' : formatEstimate(replayed.unknown),
  ]
}
