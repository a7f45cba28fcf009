// The rows of the page of error codes: what is known of each code, in the chosen order. Pure.
import type { CodeFigures } from '../../db/failed-attempts.ts'
import { segmentsPerRecovered } from '../../evidence/retry-cost.ts'
import { type Lost, type LostGroup, sumBy } from '../../db/lost.ts'

export interface CodeRow extends Omit<CodeFigures, 'attempts'> {
  /** Messages that were lost with this code as their latest. */
  readonly lost: number
  /** The difference to the equally long time range before; null if one of the two was not read as a whole. */
  readonly change: number | null
  readonly lostByPart: ReadonlyMap<number, number>
}

const VALUES = {
  lost: ({ lost }) => lost,
  change: ({ change }) => change ?? 0,
  messages: ({ messages }) => messages,
  recovered: ({ recovered }) => recovered,
  retries: ({ retries }) => retries,
  segments: ({ segments }) => segments,
  cost: (row) => segmentsPerRecovered(row) ?? 0,
} as const satisfies Record<string, (row: CodeRow) => number>

export type CodeSort = keyof typeof VALUES

export const CODE_SORTS = Object.keys(VALUES) as CodeSort[]

/** One row for each code that an attempt failed with or a message was lost with, also before this time range. */
export function codeRows(figures: readonly CodeFigures[], lost: Lost, before: Lost): readonly CodeRow[] {
  const groups = lost.groups.filter(isWithFailure)
  const isComplete = lost.isComplete && before.isComplete
  const now = sumBy(groups, ({ code }) => code)
  const earlier = sumBy(before.groups.filter(isWithFailure), ({ code }) => code)
  const byCode = new Map(figures.map((each) => [each.code, each]))
  return [...new Set([...byCode.keys(), ...now.keys(), ...earlier.keys()])].map((code) => ({
    ...(byCode.get(code) ?? NO_FIGURES),
    code,
    lost: now.get(code) ?? 0,
    change: isComplete ? (now.get(code) ?? 0) - (earlier.get(code) ?? 0) : null,
    lostByPart: sumBy(
      groups.filter((group) => group.code === code),
      ({ part }) => part,
    ),
  }))
}

const NO_FIGURES = { messages: 0, recovered: 0, retries: 0, segments: 0, segmentsUnknown: 0 }

/** A message that expired before any attempt failed has no code, which is not the same as a failure without one. */
export function isWithFailure({ code, isExpired }: LostGroup): boolean {
  return code !== null || !isExpired
}

/** The largest value first. Equal rows are ordered by lost messages, then by messages, then by code. */
export function sortCodes(rows: readonly CodeRow[], sort: CodeSort): readonly CodeRow[] {
  const order = [VALUES[sort], VALUES.lost, VALUES.messages]
  return rows.toSorted((one, other) => {
    for (const value of order) if (value(one) !== value(other)) return value(other) - value(one)
    return (one.code ?? 0) - (other.code ?? 0)
  })
}
