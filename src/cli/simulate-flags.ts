// The flags of `simulate`.
import { type Command, Option } from 'commander'
import { parseDelay, parseNonEmpty, parsePort, parseSeed, parseShare } from './arguments.ts'

/** One flag per fault. Its value is the share of callbacks or requests with that fault. */
const FAULTS: readonly (readonly [flag: string, affected: string])[] = [
  ['--drop-callbacks', 'callbacks never sent'],
  ['--duplicate-callbacks', 'callbacks sent twice'],
  ['--reorder-callbacks', 'messages whose callbacks arrive out of order'],
  ['--delay-callbacks', 'callbacks sent late'],
  ['--unknown-status', 'messages with a callback whose status is undocumented'],
  ['--rate-limit', 'POSTs answered with 429'],
  ['--unavailable', 'POSTs answered with 503, in HTML'],
  ['--server-error', 'POSTs answered with 500, not accepted'],
  ['--proxy-page', "POSTs answered with a proxy's page: 403, 404 or 407"],
  ['--hang-before', 'POSTs neither accepted nor answered'],
  ['--close-before', 'POSTs whose connection is closed on arrival'],
  ['--hang', 'POSTs accepted but never answered'],
  ['--reset', 'POSTs whose connection breaks in the middle of the answer'],
  ['--drip', 'POSTs accepted but answered one byte at a time'],
  ['--server-error-after', 'POSTs accepted but answered with 500'],
  ['--garbage', 'POSTs accepted but answered with an unreadable 201'],
  ['--slow', 'POSTs accepted but answered late'],
  ['--lookup-error', 'GETs answered with 500'],
  ['--lookup-page', "GETs answered with a proxy's page"],
]

export function defineSimulate(command: Command): void {
  command
    .option('--port <port>', 'port to listen on', parsePort, 4010)
    .option('--host <address>', 'address to listen on', parseNonEmpty, '127.0.0.1')
    .option(
      '--account-sid <sid>',
      'account to simulate; default: TWILIO_ACCOUNT_SID, or a built-in one',
      parseNonEmpty,
    )
    .option(
      '--auth-token <token>',
      'auth token of the account; default: the first of TWILIO_AUTH_TOKEN, or a built-in one',
      parseNonEmpty,
    )
    .addOption(
      new Option(
        '--account-status <status>',
        'status of the account at the start; POST /simulator/account changes it',
      )
        .choices(['active', 'suspended', 'closed'])
        .default('active'),
    )
    .option('--seed <number>', 'the same number repeats the faults and sids; default: random', parseSeed)
    .option('--callback-delay-ms <ms>', 'time between two statuses of a message', parseDelay, 500)
    .option('--retry-after-seconds <seconds>', 'Retry-After header of a 429', parseDelay, 1)
    .option('--list-refused', 'return refused messages in lists and lookups, with the status failed')
  for (const [flag, affected] of FAULTS)
    command.addOption(
      new Option(`${flag} <share>`, `share of ${affected}, 0 to 1`).argParser(parseShare).default(0),
    )
}
