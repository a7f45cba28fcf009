// Builds histories by hand: messages with one code, whose retries were made at given seconds after their first failure.
import type { Code, History, Path } from '../../src/evidence/history.ts'

export function pathOf(
  codes: readonly Code[],
  elapsed: readonly number[],
  end: Path['end'],
  messages: number,
  fields: Partial<Path> = {},
): Path {
  const retries = elapsed.map((elapsedSeconds, i) => ({
    elapsedSeconds,
    waitSeconds: elapsedSeconds - (elapsed[i - 1] ?? 0),
  }))
  const limits = { maxRetries: 3, remainingSeconds: null, measured: 0, segments: 0 }
  return { codes, retries, end, messages, ...limits, ...fields }
}

/**
 * The paths of messages with one code under one schedule.
 *
 * @param delivered how many messages each retry delivered; the rest was given up
 */
export function pathsWith(
  code: Code,
  messages: number,
  elapsed: readonly number[],
  delivered: readonly number[],
  fields: Partial<Path> = {},
): Path[] {
  const codesOf = (count: number): Code[] => Array.from({ length: count }, () => code)
  const left = delivered.reduce((rest, count) => rest - count, messages)
  return [
    ...delivered.map((count, i) =>
      pathOf(codesOf(i + 1), elapsed.slice(0, i + 1), 'delivered', count, fields),
    ),
    pathOf(codesOf(elapsed.length + 1), elapsed, 'failed', left, fields),
  ]
}

export function historyWith(...paths: readonly Path[]): History {
  return { paths, leftOut: { account: 0, corrected: 0, untimed: 0, byHand: 0 }, isComplete: true }
}
