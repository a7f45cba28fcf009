// The flags that filter messages, of `list`, `retry` and `cancel`. messages/message-filter.ts has the form of each value.
import { type Command, InvalidArgumentError } from 'commander'
import type { MetadataCondition } from '../db/search.ts'
import {
  type MessageFilter,
  type Read,
  readCode,
  readMetadata,
  readMoment,
  readNumber,
  readStatuses,
  readUser,
  STATUS_GROUPS,
} from '../messages/message-filter.ts'

export function addFilterFlags(command: Command): Command {
  return command
    .option(
      '--status <status>',
      `a status, several with commas, or a group: ${[...STATUS_GROUPS.keys()].join(', ')}`,
      parse(readStatuses),
    )
    .option('--code <code>', 'an attempt failed with this error code', parse(readCode))
    .option('--number <digits>', "the recipient's number, or its last digits", parse(readNumber))
    .option('--user <id>', 'user id in your app (column user_id)', parse(readUser))
    .option(
      '--since <time>',
      'created at or after: 30m, 24h, 7d, or 2027-03-01T17:00 (UTC)',
      parse(readMoment),
    )
    .option('--until <time>', 'created before; the same forms', parse(readMoment))
    .option(
      '--metadata <key=value>',
      "a value of your app's metadata; several must all match",
      (text, earlier: readonly MetadataCondition[] = []) => [...earlier, parse(readMetadata)(text)],
    )
}

const parse =
  <T>(read: (text: string) => Read<T>) =>
  (text: string): T => {
    const result = read(text)
    if ('fault' in result) throw new InvalidArgumentError(result.fault)
    return result.value
  }

/** The filter in the flags of a command, which may have others. */
export function filterOf(flags: MessageFilter): MessageFilter {
  const { status, code, number, user, since, until, metadata } = flags
  return Object.fromEntries(
    Object.entries({ status, code, number, user, since, until, metadata }).filter(
      ([, value]) => value !== undefined,
    ),
  )
}

export function isFilter(filter: MessageFilter): boolean {
  return Object.keys(filterOf(filter)).length > 0
}
