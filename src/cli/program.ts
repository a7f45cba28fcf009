// The commands: flags to use cases, results to stdout, words for people to stderr, exit code 0 (ok), 1 (failed)
// or 2 (wrong usage). Each command loads what it needs when it runs, so that --help is quick.
import { Command, CommanderError, Option } from 'commander'
import { type Env, parseConfig } from '../config/config.ts'
import { DELIVERY_STATUSES } from '../delivery/status.ts'
import { ConfigError, InvalidMessageError, SmsRetryError } from '../shared/errors.ts'
import { describeUnusual, withoutUnusual } from '../shared/hidden-characters.ts'
import { readVersion } from '../shared/version.ts'
import {
  daysOf,
  delayOf,
  limitOf,
  nonEmpty,
  portOf,
  secondsOf,
  seedOf,
  shareOf,
  spanOf,
  wholeNumber,
} from './arguments.ts'
import { clean, printStatus } from '../shared/output.ts'

const OK = 0
const FAILED = 1
const WRONG_USAGE = 2

/** Runs the command and resolves with the exit code, for `web` and `worker` once they have stopped. */
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
    // Our own errors and the system's (a port that is taken) say it all; anything else is a bug, and has a stack.
    const isExpected = error instanceof SmsRetryError || (error instanceof Error && 'syscall' in error)
    printStatus(isExpected ? error.message : error instanceof Error ? `${error.stack}` : String(error))
    return error instanceof ConfigError || error instanceof InvalidMessageError ? WRONG_USAGE : FAILED
  }
}

/** What a person may overlook in arguments that are refused. One with spaces is a text, which may hold anything. */
function hintsOnArguments(argv: readonly string[]): string[] {
  return argv.slice(2).flatMap((argument, i) => {
    const unusual = argument.includes(' ') ? null : describeUnusual(argument)
    if (unusual === null) return []
    const meant = withoutUnusual(argument).replace(/^-(?=[a-z]{2})/, '--')
    const isFlag = /^--[a-z-]+$/.test(meant)
    return [`Argument ${i + 1} has ${unusual}${isFlag ? `: type ${meant}` : ''}.`]
  })
}

function createProgram(env: Env, exitWith: (code: number) => void): Command {
  const program = new Command('sms-retry')
    .description('Retries for text messages sent through Twilio')
    .version(readVersion(), '-V, --version')
    .exitOverride()
    // Usage errors quote the arguments.
    .configureOutput({ writeErr: (text) => void process.stderr.write(clean(text)) })
    .configureHelp({ showGlobalOptions: false })
    .showHelpAfterError('(sms-retry --help shows the commands, sms-retry <command> --help one of them)')

  program
    .command('migrate')
    .description('create or update the table and the queue; can be run again at any time')
    .addHelpText('after', example('sms-retry migrate'))
    .action(async () => {
      const { migrateCommand } = await import('./commands.ts')
      await migrateCommand(env)
    })

  program
    .command('web')
    .description('serve the status callback endpoint, until it is told to stop')
    .addHelpText('after', example('PORT=3000 sms-retry web'))
    .action(async () => {
      const { webCommand } = await import('./commands.ts')
      await webCommand(env)
    })

  program
    .command('worker')
    .description('make the attempts that are due, until it is told to stop')
    .addHelpText('after', example('sms-retry worker'))
    .action(async () => {
      const { workerCommand } = await import('./commands.ts')
      await workerCommand(env)
    })

  program
    .command('send')
    .description('send one message')
    .requiredOption('--to <number>', 'the recipient, such as +15551234567')
    .requiredOption('--body <text>', 'the text, 1 to 1,600 characters')
    .requiredOption('--user <id>', 'the user in your app (column user_id)', wholeNumber)
    .option('--key <text>', 'idempotency key: sending again with it sends nothing')
    .option('--valid-for <seconds>', 'never submit it after so many seconds', wholeNumber)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      example('sms-retry send --to +15551234567 --user 7 --body "Your order has shipped"'),
    )
    .action(async (options) => {
      const { sendCommand } = await import('./commands.ts')
      exitWith((await sendCommand(env, options)) ? OK : FAILED)
    })

  program
    .command('list')
    .description('list the newest messages')
    .addOption(new Option('--status <status>', 'only those').choices(DELIVERY_STATUSES))
    .option('--limit <count>', 'how many at most, up to 10,000', limitOf, 50)
    .option('--json', 'print JSON, numbers and texts included')
    .addHelpText('after', example('sms-retry list --status retrying'))
    .action(async (options) => {
      const { listCommand } = await import('./commands.ts')
      await listCommand(env, options)
    })

  program
    .command('show')
    .description('show one message and its attempts')
    .argument('<id>', 'the id of the row', wholeNumber)
    .option('--show-content', 'with the whole number and the text')
    .option('--json', 'print JSON, number and text included')
    .addHelpText('after', example('sms-retry show 42'))
    .action(async (id, options) => {
      const { showCommand } = await import('./commands.ts')
      exitWith((await showCommand(env, id, options)) ? OK : FAILED)
    })

  program
    .command('retry')
    .description('try a message again now, even if its retries are used up')
    .argument('<id>', 'the id of the row', wholeNumber)
    .option('--force', 'even if the policy never retries its error code')
    .option('--json', 'print JSON')
    .addHelpText('after', example('sms-retry retry 42'))
    .action(async (id, options) => {
      const { retryCommand } = await import('./act-command.ts')
      exitWith((await retryCommand(env, id, options)) ? OK : FAILED)
    })

  program
    .command('cancel')
    .description('call off the attempt that a message waits for')
    .argument('<id>', 'the id of the row', wholeNumber)
    .option('--json', 'print JSON')
    .addHelpText('after', example('sms-retry cancel 42'))
    .action(async (id, options) => {
      const { cancelCommand } = await import('./act-command.ts')
      exitWith((await cancelCommand(env, id, options)) ? OK : FAILED)
    })

  program
    .command('stats')
    .description('show what became of the messages, and why some failed')
    .addOption(
      new Option('--since <time>', 'created in the last so many minutes, hours or days: 30m, 24h, 7d')
        .argParser(spanOf)
        .default(24 * 3600, '24h'),
    )
    .option('--json', 'print JSON')
    .addHelpText('after', example('sms-retry stats --since 7d'))
    .action(async (options) => {
      const { statsCommand } = await import('./stats-command.ts')
      await statsCommand(env, options)
    })

  program
    .command('policy')
    .description('show the retry policy in force, with the delays of each error code')
    .option('--json', 'print JSON')
    .addHelpText('after', example('RETRY_POLICY_FILE=policy.json sms-retry policy'))
    .action(async (options) => {
      const { policyCommand } = await import('./commands.ts')
      policyCommand(parseConfig(env, []), options)
    })

  program
    .command('reconcile')
    .description('look at the messages to which nothing has happened for too long, and ask Twilio about them')
    .option('--dry-run', 'only list them, with what would be done; asks and changes nothing')
    .option('--json', 'print JSON')
    .addHelpText('after', example('sms-retry reconcile --dry-run'))
    .action(async (options) => {
      const { reconcileCommand } = await import('./commands.ts')
      exitWith((await reconcileCommand(env, options)) ? OK : FAILED)
    })

  program
    .command('prune')
    .description('delete messages that are over and older than so many days, or only their texts')
    .requiredOption('--older-than <days>', 'such as 90d', daysOf)
    .option('--content-only', 'keep the rows: only texts and the wording of errors go')
    .option('--dry-run', 'only count them')
    .option('--json', 'print JSON')
    .addHelpText('after', example('sms-retry prune --older-than 90d --content-only'))
    .action(async (options) => {
      const { pruneCommand } = await import('./prune-command.ts')
      exitWith((await pruneCommand(env, options)) ? OK : FAILED)
    })

  program
    .command('doctor')
    .description(
      'check settings, database, schema, queue, Twilio account and endpoint; say how to mend what is wrong',
    )
    .option('--timeout <seconds>', 'how long the endpoint may take for an answer', secondsOf, 10)
    .option('--json', 'print JSON')
    .addHelpText('after', example('sms-retry doctor'))
    .action(async (options) => {
      const { doctorCommand } = await import('./doctor-command.ts')
      exitWith((await doctorCommand(env, options)) ? OK : FAILED)
    })

  const share = (flag: string, what: string): Option =>
    new Option(`${flag} <share>`, `share of ${what}, 0 to 1`).argParser(shareOf).default(0)
  program
    .command('simulate')
    .description('serve a simulator of the Twilio API, until it is told to stop')
    .option('--port <port>', 'where to listen', portOf, 4010)
    .option('--host <address>', 'on which address', nonEmpty, '127.0.0.1')
    .option('--account-sid <sid>', 'default: TWILIO_ACCOUNT_SID, or one of its own', nonEmpty)
    .option('--auth-token <token>', 'default: the first of TWILIO_AUTH_TOKEN, or one of its own', nonEmpty)
    .option('--seed <number>', 'repeats the faults (and the sids) of a run; default: drawn', seedOf)
    .option('--callback-delay-ms <ms>', "between two steps of a message's life", delayOf, 500)
    .option('--retry-after-seconds <seconds>', 'Retry-After of a 429', delayOf, 1)
    .option('--list-refused', 'list refused messages as failed')
    .addOption(share('--drop-callbacks', 'callbacks that are never sent'))
    .addOption(share('--duplicate-callbacks', 'callbacks that are sent twice'))
    .addOption(share('--reorder-callbacks', 'messages whose callbacks come in another order'))
    .addOption(share('--delay-callbacks', 'callbacks that come late'))
    .addOption(share('--unknown-status', 'messages with a callback of a status that is not documented'))
    .addOption(share('--rate-limit', 'POSTs answered with 429'))
    .addOption(share('--unavailable', 'POSTs answered with 503, in HTML'))
    .addOption(share('--server-error', 'POSTs answered with 500, not accepted'))
    .addOption(share('--proxy-page', "POSTs answered with a proxy's page: 403, 404 or 407"))
    .addOption(share('--hang-before', 'POSTs that are neither accepted nor answered'))
    .addOption(share('--close-before', 'POSTs whose connection is closed as they come'))
    .addOption(share('--hang', 'POSTs that are accepted but never answered'))
    .addOption(share('--reset', 'POSTs whose connection breaks in the middle of the answer'))
    .addOption(share('--drip', 'POSTs that are accepted but answered a byte at a time'))
    .addOption(share('--server-error-after', 'POSTs that are accepted but answered with 500'))
    .addOption(share('--garbage', 'POSTs that are accepted but whose 201 cannot be read'))
    .addOption(share('--slow', 'POSTs that are accepted but answered late'))
    .addOption(share('--lookup-error', 'GETs answered with 500'))
    .addOption(share('--lookup-page', "GETs answered with a proxy's page"))
    .addHelpText('after', example('sms-retry simulate --duplicate-callbacks 0.1 --rate-limit 0.05'))
    .action(async (options) => {
      const { simulateCommand } = await import('./simulate-command.ts')
      await simulateCommand(env, options)
    })

  program
    .command('demo')
    .description('watch it work: database, simulator, web and worker in one process, on this machine only')
    .option('--messages <count>', 'how many messages to send', wholeNumber, 100)
    .option('--exit', 'end when every message is final; exit code 0 only if none was lost or sent twice')
    .option('--seed <number>', 'repeats the mix of messages and faults', seedOf, 1)
    .addHelpText('after', example('sms-retry demo --exit --messages 300'))
    .action(async (options) => {
      const { demoCommand } = await import('../demo/demo.ts')
      exitWith((await demoCommand(options)) ? OK : FAILED)
    })

  return program
}

function example(command: string): string {
  return `\nExample:\n  $ ${command}`
}
