// Runs one section: a round or more to warm up, then round after round of all its cases in turn; and the middle of what they
// measured.
import type { Bar, BenchContext, Figures, Section } from './section.ts'

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

export interface SectionResult {
  readonly name: string
  readonly rounds: number
  /** By the case's name, then by the figure's; in the order in which the cases were opened. Empty if none can be run. */
  readonly cases: ReadonlyMap<string, ReadonlyMap<string, Spread>>
  readonly bars: readonly Bar[]
}

export async function runSection(
  section: Section,
  context: BenchContext,
  wantedRounds: number | null,
): Promise<SectionResult> {
  // What needs no comparison is run once, however many rounds were asked for, and has nothing to warm up for.
  const isSingle = section.rounds(false) === 1
  const rounds = isSingle ? 1 : (wantedRounds ?? section.rounds(context.isQuick))
  const cases = await section.open(context)
  try {
    const warmUps = isSingle ? 0 : (section.warmUps?.(context.isQuick) ?? 1)
    for (let i = 0; i < warmUps; i += 1) for (const each of cases) await each.round()
    const measured = new Map<string, Figures[]>(cases.map(({ name }) => [name, []]))
    for (let round = 0; round < rounds; round += 1) {
      // No case is always the one that comes after the slowest.
      for (const each of rotated(cases, round)) {
        const figures = await each.round()
        measured.get(each.name)?.push(figures)
        context.say(`${round + 1}/${rounds} ${each.name}: ${inWords(figures)}`)
      }
    }
    return resultOf(section, rounds, measured)
  } finally {
    // The first one may own what they share.
    for (const each of cases.toReversed()) await each.close()
  }
}

function rotated<T>(list: readonly T[], by: number): T[] {
  const start = list.length === 0 ? 0 : by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

function inWords(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${Number(value.toPrecision(3))} ${name}`)
    .join(', ')
}

function resultOf(
  section: Section,
  rounds: number,
  measured: ReadonlyMap<string, readonly Figures[]>,
): SectionResult {
  const cases = new Map([...measured].map(([name, list]) => [name, spreadsOf(list)]))
  const medians = new Map(
    [...cases].map(([name, spreads]) => [
      name,
      Object.fromEntries([...spreads].map(([figure, { median }]) => [figure, median])),
    ]),
  )
  // A bar about a case that was left out has no value.
  const bars = section.judge(medians).filter(({ value }) => !Number.isNaN(value))
  return { name: section.name, rounds, cases, bars: cases.size === 0 ? [] : bars }
}

function spreadsOf(list: readonly Figures[]): Map<string, Spread> {
  const names = new Set(list.flatMap((figures) => Object.keys(figures)))
  return new Map([...names].map((name) => [name, spreadOf(list.flatMap((figures) => figures[name] ?? []))]))
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (index: number): number => sorted[index] ?? Number.NaN
  const middle = (sorted.length - 1) / 2
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    least: at(0),
    most: at(sorted.length - 1),
  }
}

/** A bar without a limit is only shown. */
export function isMet({
  value,
  least = Number.NEGATIVE_INFINITY,
  most = Number.POSITIVE_INFINITY,
}: Bar): boolean {
  return value >= least && value <= most
}
