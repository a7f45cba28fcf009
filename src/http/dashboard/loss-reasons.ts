// Why messages were lost, for the overview: the codes that lose most, and all other reasons. Pure.
import { type Lost, type LostGroup, sumBy } from '../../db/lost.ts'

/** An error code; `none` for a failure without a code, `expired` for a message whose deadline passed before any failure. */
export type LossReason = number | 'none' | 'expired'

export interface LossCount {
  readonly reason: LossReason
  readonly messages: number
}

export interface Losses {
  /** The codes that lose most, the worst first. */
  readonly worst: readonly LossCount[]
  /** Messages lost with any other code. */
  readonly otherCodes: number
  readonly none: number
  readonly expired: number
  /** Lost messages whose code was not read, because there are too many. */
  readonly unread: number
}

/** As many as the chart has colours. */
const WORST = 5

export function reasonOfLoss({ code, isExpired }: LostGroup): LossReason {
  return code ?? (isExpired ? 'expired' : 'none')
}

/** @param failed the number of all lost messages */
export function lossesOf({ groups, isComplete }: Lost, failed: number): Losses {
  const sums = [...sumBy(groups, reasonOfLoss)].map(([reason, messages]) => ({ reason, messages }))
  const codes = sums.filter(({ reason }) => typeof reason === 'number')
  const of = (wanted: LossReason): number => sums.find(({ reason }) => reason === wanted)?.messages ?? 0
  return {
    worst: codes.slice(0, WORST),
    otherCodes: total(codes.slice(WORST)),
    none: of('none'),
    expired: of('expired'),
    unread: isComplete ? 0 : Math.max(0, failed - total(sums)),
  }
}

/**
 * The lost messages of one part of the span by series: the worst codes, all other reasons, and those whose reason was not
 * read.
 */
export function lossesOfPart(lost: Lost, { worst }: Losses, part: number, failed: number): readonly number[] {
  const here = lost.groups.filter((group) => group.part === part)
  const byReason = sumBy(here, reasonOfLoss)
  const shown = worst.map(({ reason }) => byReason.get(reason) ?? 0)
  const read = total(here)
  const ofWorst = shown.reduce((sum, messages) => sum + messages, 0)
  return [...shown, read - ofWorst, lost.isComplete ? 0 : Math.max(0, failed - read)]
}

function total(counts: readonly { readonly messages: number }[]): number {
  return counts.reduce((sum, { messages }) => sum + messages, 0)
}
