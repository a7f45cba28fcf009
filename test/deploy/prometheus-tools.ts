// Prometheus and promtool, if this machine has them (Debian: apt-get install prometheus).
import { spawnSync } from 'node:child_process'
import { test } from '@jest/globals'

interface Tool {
  /** `test`, or a test that is skipped because the tool is missing. */
  readonly test: typeof test | typeof test.skip
  /** For the name of a group of tests: says why tests are skipped. */
  readonly note: string
}

export function findTool(command: 'prometheus' | 'promtool'): Tool {
  const isInstalled = spawnSync(command, ['--version']).status === 0
  return isInstalled
    ? { test, note: '' }
    : { test: test.skip, note: ` (skipped in part: ${command} is not installed)` }
}

export function runPromtool(args: readonly string[]): { code: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' })
  return { code: status, output: `${stdout}${stderr}` }
}
