// The README's tables that say what the source says: made from it, between two comments each.
import { readFile } from 'node:fs/promises'
import { ERROR_CODES, UNKNOWN_CODE } from '../../src/delivery/error-codes.ts'
import { createRetryPolicy, ruleFor, scheduleOf } from '../../src/delivery/retry-policy.ts'

/** The README with its tables as they should be. */
export async function withTables(readme: string): Promise<string> {
  const tables: Readonly<Record<string, string>> = {
    'retried error codes': retriedCodes(),
    'other error codes': otherCodes(),
    configuration: configuration(await readFile(new URL('../../.env.example', import.meta.url), 'utf8')),
  }
  return readme.replaceAll(
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

function retriedCodes(): string {
  const rows = Object.entries(ERROR_CODES).flatMap(([code, { reason, rule }]) =>
    rule.action === 'stop' ? [] : [[code, reason, ...retriesOf(Number(code))]],
  )
  return table(
    ['code', 'meaning', 'retries', 'after'],
    [...rows, ['any other', UNKNOWN_CODE.reason, ...retriesOf(null)]],
  )
}

function retriesOf(code: number | null): [string, string] {
  const delays = scheduleOf(POLICY, ruleFor(POLICY, code))
  return [`${delays.length}`, delays.map(delay).join(', ')]
}

function delay(seconds: number): string {
  if (seconds < 120 && seconds % 60 !== 0) return `${seconds} s`
  return seconds < 2 * 3600 && seconds % 3600 !== 0 ? `${seconds / 60} min` : `${seconds / 3600} h`
}

function otherCodes(): string {
  const rows = Object.entries(ERROR_CODES).flatMap(([code, { reason, rule }]) =>
    rule.action === 'stop' ? [[code, reason]] : [],
  )
  return table(['code', 'meaning'], rows)
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
  return table(['name', ''], rows)
}
