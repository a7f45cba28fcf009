// Runs one command to its end, and returns its output and exit code. runCli is for a test of a command's work and output,
// runCliProcess for a test of its process. Needs dist/.
import { afterAll } from '@jest/globals'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { BASE_ENV, type CliProcess, startCli } from '../support/process.ts'
import type { CommandRun, Ended } from './command-host.ts'

export type { Ended } from './command-host.ts'

export async function endOf(cli: CliProcess): Promise<Ended> {
  const code = await cli.ended
  return { code, stdout: cli.stdout(), stderr: cli.stderr() }
}

/** Runs `dist/cli.js` in a process of its own, with .env, signals, pipes and Node's start. */
export function runCliProcess(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return endOf(startCli(args, env))
}

const HOST = fileURLToPath(new URL('./command-host.ts', import.meta.url))
let host: ChildProcess | null = null
let lastRun: Promise<unknown> = Promise.resolve()

/** Runs a command of dist/ in the process of command-host.ts, after the runs before it. */
export function runCli(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const run = lastRun.then(() => runInHost({ args, env: { ...BASE_ENV, ...env } }))
  lastRun = run.catch(() => undefined)
  return run
}

function runInHost(run: CommandRun): Promise<Ended> {
  host ??= startHost()
  const child = host
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null, signal: string | null): void =>
      reject(new Error(`The command host ended with ${code ?? signal} in: sms-retry ${run.args.join(' ')}`))
    child.once('exit', onExit)
    child.once('message', (ended) => {
      child.off('exit', onExit)
      resolve(ended as Ended)
    })
    child.send(run)
  })
}

function startHost(): ChildProcess {
  const child = fork(HOST, {
    cwd: tmpdir(),
    env: BASE_ENV,
    // Not Jest's own flags.
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  child.once('exit', () => {
    host = null
  })
  return child
}

afterAll(async () => {
  if (host === null) return
  const exited = once(host, 'exit')
  host.disconnect()
  await exited
})

/** The arguments of `send`, up to the recipient. */
export const SEND = ['send', '--user', '7', '--body', 'Hello', '--to']
/** The simulator delivers to this number. */
export const WORKING_NUMBER = '+12065550199'
