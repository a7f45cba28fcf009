// The tables of the documents that say what the source says: made from it, between two comments each.
import { readFile } from 'node:fs/promises'
import { ERROR_CODES, UNKNOWN_CODE } from '../../src/delivery/error-codes.ts'
import { createRetryPolicy, formatSchedule } from '../../src/delivery/retry-policy.ts'
import type { Rule } from '../../src/delivery/retry-rule.ts'
import { UNRELATED_CODES } from '../../src/delivery/unrelated-codes.ts'
import { duration } from '../../src/shared/figures.ts'

/** The document with its tables as they should be. */
export async function withTables(document: string): Promise<string> {
  const tables: Readonly<Record<string, string>> = {
    'common error codes': commonCodes(),
    'retried error codes': retriedCodes(),
    'permanent error codes': permanentCodes(),
    'unrelated error codes': unrelatedCodes(),
    configuration: configuration(await readFile(new URL('../../.env.example', import.meta.url), 'utf8')),
  }
  return document.replaceAll(
    /(<!-- table: ([a-z ]+) -->\n).*?(<!-- end -->)/gs,
    (_all, begin: string, name: string, end: string) => {
      const table = tables[name]
      if (table === undefined) throw new Error(`There is no table ${name}`)
      return `${begin}${table}\n${end}`
    },
  )
}

const POLICY = createRetryPolicy()

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** The codes whose rules are fixed: the README has these, docs/error-codes.md all of them. */
const COMMON = [21211, 21214, 21610, 30001, 30002, 30003, 30004, 30006, 30007, 30008]

interface CodeRow {
  readonly code: string
  readonly reason: string
  readonly rule: Rule
}

const ROWS: readonly CodeRow[] = [
  ...Object.entries(ERROR_CODES).map(([code, { reason, rule }]) => ({ code, reason, rule })),
  { code: 'any other', ...UNKNOWN_CODE },
]

function retriesOf({ rule }: CodeRow): [retries: string, after: string] {
  const schedule = formatSchedule(POLICY, rule, duration)
  if (rule.action === 'hold') return ['unlimited', schedule]
  return rule.action === 'stop' ? ['never', ''] : [`${rule.retries}`, schedule]
}

function commonCodes(): string {
  const rows = ROWS.filter(({ code }) => COMMON.includes(Number(code)) || code === 'any other')
  return table(
    ['code', 'meaning', 'retries', 'after'],
    rows.map((row) => [row.code, row.reason, ...retriesOf(row)]),
  )
}

function retriedCodes(): string {
  const rows = ROWS.filter(({ rule }) => rule.action !== 'stop')
  return table(
    ['code', 'meaning', 'retries', 'after'],
    rows.map((row) => [linked(row.code), row.reason, ...retriesOf(row)]),
  )
}

function permanentCodes(): string {
  const rows = ROWS.filter(({ rule }) => rule.action === 'stop')
  return table(
    ['code', 'meaning'],
    rows.map(({ code, reason }) => [linked(code), reason]),
  )
}

function linked(code: string): string {
  return /^\d+$/.test(code) ? `[${code}](https://www.twilio.com/docs/api/errors/${code})` : code
}

/** Neighbours together: `30100–30109`. */
function unrelatedCodes(): string {
  const ranges: [first: number, last: number][] = []
  for (const code of [...UNRELATED_CODES].sort((one, other) => one - other)) {
    const range = ranges.at(-1)
    if (range !== undefined && range[1] === code - 1) range[1] = code
    else ranges.push([code, code])
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(', ')
}

/** Names that stand together in .env.example share the comment above them. */
function configuration(example: string): string {
  const rows: [string, string][] = []
  let comment: string[] = []
  let names: string[] = []
  for (const line of [...example.split('\n'), '']) {
    const [, name] = /^([A-Z][A-Z0-9_]*)=/.exec(line) ?? []
    if (name !== undefined) {
      names.push(`\`${name}\``)
      continue
    }
    if (names.length > 0) {
      rows.push([names.join(' '), comment.join(' ').replaceAll('|', 'or')])
      comment = []
      names = []
    }
    if (/^# ---/.test(line) || line === '') comment = []
    else comment.push(line.replace(/^# /, ''))
  }
  return table(['name', 'meaning'], rows)
}
