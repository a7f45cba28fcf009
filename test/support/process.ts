// Real processes of the built command, with what they print, for end-to-end tests.
import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { waitFor } from './wait-for.ts'

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/** Node keeps compiled code here: a process starts with half the processor time. */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/node', import.meta.url))

/** The variables that each process gets besides those of its test. */
export const BASE_ENV = { PATH: process.env['PATH'], NODE_COMPILE_CACHE: COMPILE_CACHE }

export interface CliProcess {
  readonly child: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** The exit code, once it has ended; null if a signal ended it. */
  readonly ended: Promise<number | null>
  kill(signal: NodeJS.Signals): void
}

/**
 * @param env the whole environment except PATH and Node's compile cache
 * @param cli the command of another build than dist/
 * @param folder by default not here, where a developer's own .env would fill in what the test leaves out
 */
export function startCli(
  args: readonly string[],
  env: Record<string, string> = {},
  cli: string = CLI,
  folder: string = tmpdir(),
): CliProcess {
  const child = spawn(process.execPath, [cli, ...args], {
    cwd: folder,
    env: { ...BASE_ENV, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    kill: (signal) => void child.kill(signal),
  }
}

export async function untilReady(url: string): Promise<void> {
  await waitFor(`${url}/readyz`, () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
}
