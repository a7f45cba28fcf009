// A process that runs commands of the built program one after another, for run-cli.ts: starting a process takes more
// processor time than most commands. Sets the environment of each run, and captures its output.
import { waitFor } from '../support/wait-for.ts'

export interface CommandRun {
  readonly args: readonly string[]
  /** The whole environment. */
  readonly env: Record<string, string | undefined>
}

export interface Ended {
  /** Null if a signal killed it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

// A variable path: dist/ may not exist when types are checked.
const PROGRAM = new URL('../../dist/cli/program.js', import.meta.url).href
const { runProgram } = (await import(PROGRAM)) as typeof import('../../src/cli/program.ts')

let output = { stdout: '', stderr: '' }

for (const name of ['stdout', 'stderr'] as const) {
  process[name].write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    output[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()
    const written = rest.find((argument) => typeof argument === 'function')
    if (written) process.nextTick(written as () => void)
    return true
  }
}
// Node prints warnings past process.stderr.
process.on('warning', (warning) => {
  output.stderr += `${warning.stack}\n`
})

async function run({ args, env }: CommandRun): Promise<Ended> {
  output = { stdout: '', stderr: '' }
  for (const name of Object.keys(process.env)) delete process.env[name]
  Object.assign(process.env, env)
  const before = process.getActiveResourcesInfo().length
  const code = await runProgram(['node', 'sms-retry', ...args], process.env)
  // A connection or a timer that the command leaves open would keep its process alive.
  await waitFor(
    'the command to close what it opened',
    () => process.getActiveResourcesInfo().length <= before,
  )
  // Left by `prune`, which listens until its process ends.
  for (const signal of ['SIGTERM', 'SIGINT']) process.removeAllListeners(signal)
  return { code, ...output }
}

process.on('message', async (message) => process.send?.(await run(message as CommandRun)))
process.once('disconnect', () => process.exit())
