// Whether an error code has become more frequent than in the days before. The recent share of messages that failed with the
// code is compared with the share in the week before, by an exact test.

/** Messages that were attempted in a span, and how many of them failed with each code. May be a sample. */
export interface CodeCounts {
  readonly messages: number
  readonly byCode: ReadonlyMap<number, number>
}

export interface CodeFigures {
  readonly lastHour: CodeCounts
  readonly lastSixHours: CodeCounts
  /** The seven days before the last six hours. */
  readonly weekBefore: CodeCounts
}

export interface CodeJump {
  readonly code: number
  readonly hours: number
  readonly failed: number
  readonly share: number
  readonly usualShare: number
}

/** With fewer messages, an hour shows too little, and six hours are looked at. */
const MIN_MESSAGES_PER_HOUR = 200

/** Fewer failures are no reason to wake a person, however rare the code is. */
const MIN_FAILED = 10

/** A campaign, a night or a weekend changes a share by less than this factor. Chance must not explain a larger one. */
const MIN_FACTOR = 3

/** Of all codes together, if they are tested every five minutes for a month: one month in a hundred has a false alarm. */
const FALSE_ALARMS_PER_MONTH = 0.01
const TESTS_PER_MONTH = 30 * 24 * 12

export const MAX_JUMPS = 5

/** The codes that jumped, the largest increase first. */
export function findJumps({ lastHour, lastSixHours, weekBefore }: CodeFigures): readonly CodeJump[] {
  const isBusy = lastHour.messages >= MIN_MESSAGES_PER_HOUR
  const [recent, hours] = isBusy ? [lastHour, 1] : [lastSixHours, 6]
  const maxChance = FALSE_ALARMS_PER_MONTH / TESTS_PER_MONTH / Math.max(recent.byCode.size, 1)
  const jumps: CodeJump[] = []
  for (const [code, failed] of recent.byCode) {
    const before = weekBefore.byCode.get(code) ?? 0
    if (
      failed < MIN_FAILED ||
      chanceOfFactor(recent.messages, failed, weekBefore.messages, before) > maxChance
    )
      continue
    const usualShare = weekBefore.messages === 0 ? 0 : before / weekBefore.messages
    jumps.push({ code, hours, failed, share: failed / recent.messages, usualShare })
  }
  return jumps
    .toSorted((one, other) => other.share - other.usualShare - (one.share - one.usualShare))
    .slice(0, MAX_JUMPS)
}

/**
 * The probability of at least `failed` recent failures, if the share has grown by MIN_FACTOR and no more. Given the total of
 * both spans, the recent number is binomial (the exact conditional test of two Poisson rates).
 */
function chanceOfFactor(messages: number, failed: number, messagesBefore: number, before: number): number {
  const weight = MIN_FACTOR * messages
  return binomialTail(failed + before, weight / (weight + messagesBefore), failed)
}

/** P(X >= atLeast) for X ~ Binomial(n, p); 1 where that is no less than about a half. */
export function binomialTail(n: number, p: number, atLeast: number): number {
  // The first term could be too small for a number below the mean, where nothing depends on the exact value.
  if (atLeast <= n * p || p >= 1) return 1
  let logTerm = atLeast * Math.log(p) + (n - atLeast) * Math.log1p(-p)
  for (let k = 1; k <= atLeast; k += 1) logTerm += Math.log((n - atLeast + k) / k)
  let term = Math.exp(logTerm)
  let sum = term
  for (let k = atLeast; k < n && term > 0; k += 1) {
    term *= ((n - k) / (k + 1)) * (p / (1 - p))
    sum += term
  }
  return Math.min(sum, 1)
}
