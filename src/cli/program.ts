// The program `sms-retry`: data goes to stdout, messages for people to stderr. The exit code is 0 (ok), 1 (failed) or
// 2 (wrong usage).
import { Command, CommanderError } from 'commander'
import type { Env } from '../config/config.ts'
import { ConfigError, InvalidMessageError, SmsRetryError } from '../shared/errors.ts'
import { describeUnusual, withoutUnusual } from '../shared/hidden-characters.ts'
import { clean, printStatus } from '../shared/output.ts'
import { readVersion } from '../shared/version.ts'
import { COMMANDS, type CommandDefinition } from './definitions.ts'

const OK = 0
const FAILED = 1
const WRONG_USAGE = 2

/** Runs the command and resolves with the exit code. `web` and `worker` run until they are stopped. */
export async function runProgram(argv: readonly string[], env: Env): Promise<number> {
  let exitCode = OK
  const program = createProgram(env, (code) => {
    exitCode = code
  })
  try {
    await program.parseAsync(argv)
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return OK
      for (const hint of hintsOnArguments(argv)) process.stderr.write(`${hint}\n`)
      return WRONG_USAGE
    }
    printStatus(describeError(error))
    return error instanceof ConfigError || error instanceof InvalidMessageError ? WRONG_USAGE : FAILED
  }
}

/** Our own errors and those of the system (a port in use) explain themselves. Any other error is a bug: shows its stack. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const isExpected = error instanceof SmsRetryError || 'syscall' in error
  return isExpected ? error.message : `${error.stack}`
}

/** Names invisible or misleading characters in rejected arguments. An argument with spaces is free text and is skipped. */
function hintsOnArguments(argv: readonly string[]): string[] {
  return argv.slice(2).flatMap((argument, i) => {
    const unusual = argument.includes(' ') ? null : describeUnusual(argument)
    if (unusual === null) return []
    // Some editors replace `--` with one dash, so a single dash before a word stands for two.
    const meant = withoutUnusual(argument).replace(/^-(?=[a-z]{2})/, '--')
    const isFlag = /^--[a-z-]+$/.test(meant)
    return [`Argument ${i + 1} has ${unusual}${isFlag ? `: type ${meant}` : ''}.`]
  })
}

function createProgram(env: Env, exitWith: (code: number) => void): Command {
  const program = new Command('sms-retry')
    .description('Retries text messages sent through Twilio')
    .version(readVersion(), '-V, --version')
    .exitOverride()
    // Usage errors quote the arguments, which may contain escape sequences.
    .configureOutput({ writeErr: (text) => void process.stderr.write(clean(text)) })
    .configureHelp({ showGlobalOptions: false })
    .showHelpAfterError('(sms-retry --help lists the commands, sms-retry <command> --help explains one)')
  for (const definition of COMMANDS) addCommand(program, definition, env, exitWith)
  return program
}

function addCommand(
  program: Command,
  { name, description, define, example, load }: CommandDefinition,
  env: Env,
  exitWith: (code: number) => void,
): void {
  const command = program
    .command(name)
    .description(description)
    .addHelpText('after', `\nExample:\n  $ ${example}`)
  define?.(command)
  command.action(async (...args: unknown[]) => {
    const run = await load()
    // Commander has checked the arguments against the definition. The last one is the Command itself.
    const isOk = await run(env, ...(args.slice(0, -1) as never[]))
    exitWith(isOk === false ? FAILED : OK)
  })
}
