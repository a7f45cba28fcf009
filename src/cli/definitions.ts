// Defines each command: its name, its flags, and the module with its code. The module is loaded when the command runs, so
// --help stays fast.
import { type Command, Option } from 'commander'
import type { Env } from '../config/config.ts'
import {
  parseDays,
  parseDuration,
  parseLimit,
  parseNonEmpty,
  parseReason,
  parseSeconds,
  parseSeed,
  parseSid,
  parseTime,
  parseWholeNumber,
  parseWindow,
} from './arguments.ts'
import { addFilterFlags } from './filter-flags.ts'
import { defineSimulate } from './simulate-flags.ts'

export interface CommandDefinition {
  readonly name: string
  readonly description: string
  /** Adds flags and arguments. */
  readonly define?: (command: Command) => unknown
  readonly example: string
  readonly load: () => Promise<RunCommand>
}

/** Receives the parsed arguments, then the flags. Resolves with false if the command failed. */
type RunCommand = (env: Env, ...args: never[]) => Promise<unknown>

function defineForMany(command: Command): Command {
  return addFilterFlags(command.argument('[id]', 'message id', parseWholeNumber))
    .option('--dry-run', 'with a filter: only count the messages')
    .option('--yes', 'with a filter: do not ask for a confirmation')
    .option('--json', 'print JSON')
}

export const COMMANDS: readonly CommandDefinition[] = [
  {
    name: 'migrate',
    description: 'create or update the table and the queue; safe to run again at any time',
    example: 'sms-retry migrate',
    load: async () => (await import('./process-commands.ts')).migrateCommand,
  },
  {
    name: 'web',
    description: 'serve the status callback endpoint, metrics and dashboard until stopped',
    example: 'PORT=3000 sms-retry web',
    load: async () => (await import('./process-commands.ts')).webCommand,
  },
  {
    name: 'worker',
    description: 'send due attempts and reconcile overdue messages until stopped',
    example: 'sms-retry worker',
    load: async () => (await import('./process-commands.ts')).workerCommand,
  },
  {
    name: 'send',
    description: 'send one message',
    define: (command) =>
      command
        .requiredOption('--to <number>', 'recipient, such as +12065550199')
        .requiredOption('--body <text>', 'text, 1 to 1,600 characters')
        .option('--user <id>', 'user id in your app (column user_id)', parseNonEmpty)
        .option('--key <text>', 'idempotency key: at most one message with this key is sent')
        .option('--valid-for <seconds>', 'neither send nor retry after this many seconds', parseWholeNumber)
        .option('--send-after <time>', 'not before this time, such as 2027-03-01T17:00:00Z', parseTime)
        .option(
          '--send-window <hours>',
          'hours such as 08:00-21:00, or any, instead of SEND_WINDOW',
          parseWindow,
        )
        .option('--time-zone <name>', 'time zone of these hours, such as America/New_York')
        .option('--json', 'print JSON'),
    example: 'sms-retry send --to +12065550199 --user 7 --body "Your order has shipped"',
    load: async () => (await import('./message-commands.ts')).sendCommand,
  },
  {
    name: 'list',
    description: 'list the newest messages, optionally only those that match a filter',
    define: (command) =>
      addFilterFlags(command)
        .option('--limit <count>', 'maximum number of messages, up to 10,000', parseLimit, 50)
        .option('--json', 'print JSON, including phone numbers and texts'),
    example: 'sms-retry list --status failed-for-good --code 30003 --since 7d',
    load: async () => (await import('./message-commands.ts')).listCommand,
  },
  {
    name: 'show',
    description: 'show one message and its attempts',
    define: (command) =>
      command
        .argument('<id>', 'message id', parseWholeNumber)
        .option('--show-content', 'show the full phone number and the text')
        .option('--json', 'print JSON, including phone number and text'),
    example: 'sms-retry show 42',
    load: async () => (await import('./message-commands.ts')).showCommand,
  },
  {
    name: 'retry',
    description: 'retry a message now, or all that match a filter, even with no retries left',
    define: (command) =>
      defineForMany(command).option('--force', 'retry even if the policy never retries the error code'),
    example:
      'sms-retry retry 42\n  $ sms-retry retry --status failed-for-good --code 30003 --since 24h --dry-run',
    load: async () => (await import('./act-command.ts')).retryCommand,
  },
  {
    name: 'cancel',
    description: 'cancel the pending attempt of a message, or of all that match a filter',
    define: defineForMany,
    example: 'sms-retry cancel 42\n  $ sms-retry cancel --metadata campaign=spring --since 7d --dry-run',
    load: async () => (await import('./act-command.ts')).cancelCommand,
  },
  {
    name: 'resolve',
    description: 'settle a message in doubt that you looked up in the console of Twilio',
    define: (command) =>
      command
        .argument('<id>', 'message id', parseWholeNumber)
        .option('--sid <sid>', 'Twilio has it, with this sid', parseSid)
        .option('--not-sent', 'Twilio does not have it: the attempt is made again')
        .option('--json', 'print JSON'),
    example: 'sms-retry resolve 42 --not-sent',
    load: async () => (await import('./resolve-command.ts')).resolveCommand,
  },
  {
    name: 'outcomes',
    description: 'list the outcomes that the app has not received yet',
    define: (command) =>
      command
        .addOption(
          new Option('--failed', 'list those that failed all deliveries instead').conflicts('redeliver'),
        )
        .option('--redeliver', 'deliver all failed outcomes again')
        .option('--limit <count>', 'maximum number of outcomes, up to 10,000', parseLimit, 50)
        .option('--json', 'print JSON'),
    example: 'sms-retry outcomes --failed',
    load: async () => (await import('./outcome-command.ts')).outcomesCommand,
  },
  {
    name: 'stats',
    description: 'show how many messages were delivered, and why others failed',
    define: (command) =>
      command
        .addOption(
          new Option('--since <duration>', 'only messages newer than this: 30m, 24h, 7d')
            .argParser(parseDuration)
            .default(24 * 3600, '24h'),
        )
        .option('--json', 'print JSON'),
    example: 'sms-retry stats --since 7d',
    load: async () => (await import('./stats-command.ts')).statsCommand,
  },
  {
    name: 'status',
    description: 'show whether sending works, and incidents with what to do; exit code 0 only without any',
    define: (command) => command.option('--json', 'print JSON'),
    example: 'sms-retry status',
    load: async () => (await import('./hold-commands.ts')).statusCommand,
  },
  {
    name: 'pause',
    description: 'stop sending in all processes until resume; records your user name on this machine',
    define: (command) =>
      command.option('--reason <text>', 'why, one line of at most 200 characters', parseReason),
    example: 'sms-retry pause --reason "Moving to another Twilio account"',
    load: async () => (await import('./hold-commands.ts')).pauseCommand,
  },
  {
    name: 'resume',
    description: 'end a pause or a hold, so that all processes send again',
    example: 'sms-retry resume',
    load: async () => (await import('./hold-commands.ts')).resumeCommand,
  },
  {
    name: 'policy',
    description: 'show the retry policy in force, or judge a policy by the history of the messages',
    define: (command) =>
      command
        .addOption(
          new Option(
            '--replay <file>',
            'estimate what this policy file would have recovered and spent',
          ).conflicts('advise'),
        )
        .option('--advise', 'print a policy file with the changes that the history supports')
        .option('--out <file>', 'with --advise: write the policy file to this new file', parseNonEmpty)
        .addOption(
          new Option(
            '--since <duration>',
            'with --replay or --advise: only messages newer than this, such as 7d (default: 30d)',
          ).argParser(parseDuration),
        )
        .option('--json', 'print JSON'),
    example:
      'sms-retry policy --replay policy.json --since 30d\n  $ sms-retry policy --advise --out policy.json',
    load: async () => (await import('./policy-command.ts')).policyCommand,
  },
  {
    name: 'reconcile',
    description: 'look up overdue messages at Twilio and record their status',
    define: (command) =>
      command
        .option('--dry-run', 'only list the messages and the planned actions')
        .option('--json', 'print JSON'),
    example: 'sms-retry reconcile --dry-run',
    load: async () => (await import('./reconcile-command.ts')).reconcileCommand,
  },
  {
    name: 'prune',
    description: 'delete finished messages older than a number of days, or only their texts',
    define: (command) =>
      command
        .requiredOption('--older-than <days>', 'minimum age, such as 90d', parseDays)
        .option('--content-only', 'keep the rows; delete only texts and error details')
        .option('--dry-run', 'only count the messages')
        .option('--json', 'print JSON'),
    example: 'sms-retry prune --older-than 90d --content-only',
    load: async () => (await import('./prune-command.ts')).pruneCommand,
  },
  {
    name: 'doctor',
    description: 'check settings, database, queue, Twilio account and endpoint, and suggest fixes',
    define: (command) =>
      command
        .option('--timeout <seconds>', 'how long to wait for the endpoint', parseSeconds, 10)
        .option('--json', 'print JSON'),
    example: 'sms-retry doctor',
    load: async () => (await import('./doctor-command.ts')).doctorCommand,
  },
  {
    name: 'simulate',
    description: 'run a simulator of the Twilio API until stopped',
    define: defineSimulate,
    example: 'sms-retry simulate --duplicate-callbacks 0.1 --rate-limit 0.05',
    load: async () => (await import('./simulate-command.ts')).simulateCommand,
  },
  {
    name: 'demo',
    description: 'run database, simulator, web and worker in one process, on this machine only',
    define: (command) =>
      command
        .option('--messages <count>', 'number of messages to send', parseWholeNumber, 100)
        .option('--exit', 'exit when all messages are final; exit code 0 only if none was lost or sent twice')
        .option(
          '--outage',
          'suspend the simulated account while messages are sent, to show a hold and its end',
        )
        .option('--seed <number>', 'the same number repeats the messages and faults', parseSeed, 1),
    example: 'sms-retry demo --exit --messages 300',
    load: async () => {
      const { demoCommand } = await import('../demo/demo.ts')
      return (_env, flags) => demoCommand(flags)
    },
  },
]
