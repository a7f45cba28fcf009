// The comparison as Markdown, for a terminal and for docs/outcome.md.
import type { Comparison } from './compare.ts'
import type { CodeChoice } from './code-limits.ts'
import type { Figures } from './figures.ts'
import { createRetryPolicy, formatSchedule, type RetryPolicy } from '../src/delivery/retry-policy.ts'
import type { Rule } from '../src/delivery/retry-rule.ts'
import type { Target } from '../src/delivery/targets.ts'

export function reportOf(comparison: Comparison): string {
  const { options, horizonHours } = comparison
  const { messages, mix, handsets, lookedUp, seed } = options
  const lookUp = lookedUp === 0 ? '' : `, ${percent(lookedUp)} of dead numbers and landlines removed`
  const head =
    `${whole(messages)} messages in 30 days, mix "${mix}", handsets "${handsets}"${lookUp}, seed ${seed}. ` +
    `A message counts as one that could be delivered if its cause ended within ${horizonHours} hours.`
  return [
    head,
    figuresTable(comparison),
    adviceText(comparison),
    codesText(comparison),
    boundsText(comparison),
  ].join('\n\n')
}

type Row = readonly [name: string, cellOf: (figures: Figures) => string]

const ROWS: readonly Row[] = [
  ['**delivered, of those that could be** (> 99 %)', ({ targets }) => targetCell(targets, 'delivered')],
  ['**retry success** (> 80 %)', ({ targets }) => targetCell(targets, 'retry success')],
  ['**average retries** (< 1.5)', ({ targets }) => targetCell(targets, 'average retries')],
  ['delivered, of all', ({ delivered, messages }) => share(delivered, messages)],
  ['recovered, of the recoverable', (f) => share(f.recoveredOfRecoverable, f.recoverable)],
  ['messages retried', ({ retried }) => whole(retried)],
  ['of these, delivered', ({ recovered }) => whole(recovered)],
  ['retries', ({ retries }) => whole(retries)],
  ['**retries in vain: codes that the table stops** (0)', ({ vainRetries }) => whole(vainRetries.stopped)],
  ['retries in vain: 30003', ({ vainRetries }) => whole(vainRetries.unreachable)],
  ['retries in vain: other codes', ({ vainRetries }) => whole(vainRetries.other)],
  ['segments', ({ segments }) => whole(segments)],
  ['segments of retries', ({ segmentsOfRetries }) => whole(segmentsOfRetries)],
  ['time to a recovered delivery, median', ({ medianSeconds }) => duration(medianSeconds)],
  ['time to a recovered delivery, 90 %', (f) => duration(f.percentile90Seconds)],
  ['received twice', ({ twice }) => whole(twice)],
]

function figuresTable({ policies }: Comparison): string {
  const head = ['', ...policies.map(({ name }) => name)]
  return table(
    head,
    ROWS.map(([name, cellOf]) => [name, ...policies.map(({ figures }) => cellOf(figures))]),
  )
}

function targetCell(targets: readonly Target[], name: Target['name']): string {
  const target = targets.find((one) => one.name === name)
  if (target === undefined || target.value === null) return '-'
  const value = name === 'average retries' ? target.value.toFixed(2) : percent(target.value)
  return `${value} ${target.isMet === true ? 'met' : 'missed'}`
}

function adviceText({ policies }: Comparison): string {
  const policy = createRetryPolicy()
  const parts = policies.flatMap(({ name, changes }) => {
    if (changes === null) return []
    const rules = changes.map(({ code, to }) => `${code} ${scheduleText(policy, to)}`)
    return `"${name}" differs from "ours" by: ${rules.join('; ') || 'nothing'}.`
  })
  return parts.join(' ')
}

function scheduleText(policy: RetryPolicy, rule: Rule): string {
  return rule.action === 'stop' ? 'stop' : `after ${formatSchedule(policy, rule, duration)}`
}

function codesText({ codes }: Comparison): string {
  const some = codes.filter(({ failed, possible }) => possible > 0 && possible < failed)
  const parts = some.map(
    ({ code, failed, possible }) =>
      `${code ?? 'none'} ${whole(possible)} of ${whole(failed)} (${share(possible, failed)})`,
  )
  const all = codes.filter(({ failed, possible }) => possible === failed).map(({ code }) => code)
  const never = codes.filter(({ possible }) => possible === 0).map(({ code }) => code)
  return (
    `By the code of the first failure, these messages could be delivered: ${parts.join(', ')}; ` +
    `all of ${codesOf(all)}; ` +
    `none of ${codesOf(never)}.`
  )
}

function boundsText({ bounds: { mostDelivered, highestSuccess } }: Comparison): string {
  const most =
    mostDelivered === null
      ? 'No choice of codes has a retry success above 80 %.'
      : `With a retry success above 80 %, a policy by code alone delivers at most ${percent(mostDelivered.delivered)} ` +
        `of the messages that could be delivered (it retries ${codesOf(mostDelivered.codes)}).`
  const success =
    highestSuccess === null
      ? 'No choice of codes delivers more than 99 % of them.'
      : `If it delivers more than 99 % of them, its retry success is at most ${percent(highestSuccess.retrySuccess)} ` +
        `(it retries ${codesOf(highestSuccess.codes)}).`
  return `${most} ${success}`
}

const codesOf = (codes: CodeChoice['codes']): string =>
  codes.map((code) => code ?? 'none').join(', ') || 'no code'

function duration(seconds: number | null): string {
  if (seconds === null) return '-'
  const minutes = seconds / 60
  return minutes < 60 ? `${Math.round(minutes)} min` : `${(minutes / 60).toFixed(1)} h`
}

const whole = (n: number): string => n.toLocaleString('en')
export const percent = (n: number): string => `${(n * 100).toFixed(1)} %`
const share = (part: number, of: number): string => (of === 0 ? '-' : percent(part / of))

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}
