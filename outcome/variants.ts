// How the criteria depend on the assumptions: the same comparison with other mixes, curves and seeds, as one table.
import { compare, type Comparison, type ComparisonOptions } from './compare.ts'
import type { Target } from '../src/delivery/targets.ts'
import { patientPolicy, tables } from './policies.ts'
import { percent, table } from './report.ts'

const SEEDS = 10

type Variant = readonly [name: string, change: Partial<ComparisonOptions>]

/** Four of five dead numbers and landlines are found. */
const LOOKED_UP = { lookedUp: 0.8 }

const VARIANTS: readonly Variant[] = [
  ['low mix', { mix: 'low' }],
  ['**central mix**', {}],
  ['high mix', { mix: 'high' }],
  ['central, handsets slow', { handsets: 'slow' }],
  ['central, handsets fast', { handsets: 'fast' }],
  ['central, carriers store', { handsets: 'stored' }],
  ['central, numbers looked up', LOOKED_UP],
]

/** Rows that show how much is chance. */
const REPEATED: readonly Variant[] = [
  [`central, ${SEEDS} seeds`, {}],
  [`numbers looked up, ${SEEDS} seeds`, LOOKED_UP],
]

/** Values that meet a criterion are bold. */
export function variantsTable(options: ComparisonOptions): string {
  const rows = VARIANTS.map(([name, change]) => [name, ...cellsFor({ ...options, ...change })])
  const ranges = REPEATED.map(([name, change]) => {
    const bySeed = Array.from({ length: SEEDS }, (_, i) =>
      cellsFor({ ...options, ...change, seed: options.seed + i }),
    )
    return [name, ...COLUMNS.map((_, column) => rangeOf(bySeed.map((cells) => cells[column] ?? '')))]
  })
  return table(['', ...COLUMNS.map(([name]) => name)], [...rows, ...ranges])
}

const cellsFor = (options: ComparisonOptions): string[] =>
  cellsOf(compare(options, [...tables(), patientPolicy()]))

export const cellsOf = (comparison: Comparison): string[] => COLUMNS.map(([, cellOf]) => cellOf(comparison))

type Column = readonly [name: string, cellOf: (comparison: Comparison) => string]

const COLUMNS: readonly Column[] = [
  ['none: delivered', (comparison) => criterion(comparison, 'none', 'delivered')],
  ['specification: delivered', (comparison) => criterion(comparison, 'specification', 'delivered')],
  ['retry success', (comparison) => criterion(comparison, 'specification', 'retry success')],
  ['ours: delivered', (comparison) => criterion(comparison, 'ours', 'delivered')],
  ['retry success', (comparison) => criterion(comparison, 'ours', 'retry success')],
  ['average', (comparison) => criterion(comparison, 'ours', 'average retries')],
  ['can wait: delivered', (comparison) => criterion(comparison, 'can wait', 'delivered')],
  ['retry success', (comparison) => criterion(comparison, 'can wait', 'retry success')],
  ['average', (comparison) => criterion(comparison, 'can wait', 'average retries')],
  ['most retry success with > 99 %', ({ bounds }) => share(bounds.highestSuccess?.retrySuccess)],
]

function criterion({ policies }: Comparison, policy: string, name: Target['name']): string {
  const { figures } = policies.find((one) => one.name === policy) ?? {}
  const target = figures?.targets.find((one) => one.name === name)
  if (target === undefined || target.value === null) return '-'
  const value = name === 'average retries' ? target.value.toFixed(2) : percent(target.value)
  return target.isMet === true ? `**${value}**` : value
}

const share = (value: number | undefined): string => (value === undefined ? 'none' : percent(value))

/** `98.2 % to 98.3 %`, from the smallest to the largest. */
function rangeOf(cells: readonly string[]): string {
  const sorted = cells.toSorted(
    (one, other) => Number.parseFloat(one.replaceAll('*', '')) - Number.parseFloat(other.replaceAll('*', '')),
  )
  const [first = '', last = ''] = [sorted[0], sorted.at(-1)]
  return first === last ? first : `${first} to ${last}`
}
