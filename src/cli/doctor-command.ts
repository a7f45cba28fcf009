// The command `doctor`: prints each finding as it is made, or all of them as JSON at the end.
import type { Env } from '../config/config.ts'
import { examineAll, type NamedFinding } from '../doctor/doctor.ts'
import { print, printJson, printStatus, type Style, styled } from '../shared/output.ts'
import { hanging } from './table.ts'

/** @returns false if a check failed */
export async function doctorCommand(
  env: Env,
  flags: { readonly timeout: number; readonly json?: true },
): Promise<boolean> {
  const findings: NamedFinding[] = []
  for await (const finding of examineAll(env, { endpointTimeoutMs: flags.timeout * 1000 })) {
    findings.push(finding)
    if (!flags.json) print(findingView(finding))
  }
  if (flags.json) printJson(findings.map(findingJson))
  else printStatus(summaryOf(findings))
  return findings.every(({ result }) => result !== 'failed')
}

const STYLES: Readonly<Record<NamedFinding['result'], Style>> = {
  ok: 'green',
  warning: 'yellow',
  failed: 'red',
  skipped: 'dim',
}
const RESULT_WIDTH = 9
const NAME_WIDTH = 15

function findingView({ name, result, what, fix }: NamedFinding): string {
  const indent = RESULT_WIDTH + NAME_WIDTH
  const head = styled(STYLES[result], result.padEnd(RESULT_WIDTH)) + name.padEnd(NAME_WIDTH)
  const lines = [head + hanging(what, indent)]
  if (fix !== null) lines.push(`${' '.repeat(indent)}${hanging(`-> ${fix}`, indent)}`)
  return lines.join('\n')
}

/** Stable: keys and names are added, never renamed. */
function findingJson({ name, result, what, fix }: NamedFinding): object {
  return { name, result, what, mend: fix }
}

function summaryOf(findings: readonly NamedFinding[]): string {
  const count = (wanted: NamedFinding['result']): number =>
    findings.filter(({ result }) => result === wanted).length
  const [failures, warnings] = [count('failed'), count('warning')]
  const parts = [
    ...(failures === 0 ? [] : [`${failures} failed`]),
    ...(warnings === 0 ? [] : [`${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`]),
  ]
  return parts.length === 0 ? 'All checks passed.' : `${parts.join(', ')}.`
}
