// Runs one command to its end, and returns its output and exit code.
import { type CliProcess, startCli } from '../support/process.ts'

export interface Ended {
  /** Null if a signal killed it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export async function endOf(cli: CliProcess): Promise<Ended> {
  const code = await cli.ended
  return { code, stdout: cli.stdout(), stderr: cli.stderr() }
}

export function runCli(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return endOf(startCli(args, env))
}

/** The arguments of `send`, up to the recipient. */
export const SEND = ['send', '--user', '7', '--body', 'Hello', '--to']
/** The simulator delivers to this number. */
export const WORKING_NUMBER = '+12065550199'
