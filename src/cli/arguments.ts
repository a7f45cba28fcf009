// Parses the arguments of the commands. An invalid one ends the command with exit code 2 before anything is done.
import { CommanderError, InvalidArgumentError } from 'commander'
import { faultOfReason } from '../delivery/reason-text.ts'
import { readSendWindow, type SendWindow } from '../delivery/send-window.ts'
import { MIN_AGE_DAYS } from '../messages/prune-messages.ts'
import { printStatus } from '../shared/output.ts'
import { SID } from '../twilio/parse-body.ts'

/** Ends the command with exit code 2, for arguments that do not fit together. */
export function refuseUsage(text: string): never {
  printStatus(`error: ${text}`)
  throw new CommanderError(2, 'sms-retry.usage', text)
}

export function parseNonEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must not be empty.')
  return text
}

/** Why sending is paused. */
export function parseReason(text: string): string {
  const fault = faultOfReason(text)
  if (fault !== null) throw new InvalidArgumentError(`It ${fault}.`)
  return text
}

/** A message sid of Twilio. */
export function parseSid(text: string): string {
  if (!SID.test(text))
    throw new InvalidArgumentError('It must be SM or MM, followed by 32 hexadecimal digits.')
  return text
}

export function parseWholeNumber(text: string): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(number)) throw new InvalidArgumentError('It must be a whole number.')
  return number
}

const createRangeParser =
  (min: number, max: number) =>
  (text: string): number => {
    const number = parseWholeNumber(text)
    if (number < min || number > max) throw new InvalidArgumentError(`It must be from ${min} to ${max}.`)
    return number
  }

export const parseLimit = createRangeParser(1, 10_000)
export const parsePort = createRangeParser(0, 65_535)
export const parseSeed = createRangeParser(0, 4_294_967_295)
/** The maximum is the longest delay of a Node timer, in milliseconds. */
export const parseDelay = createRangeParser(0, 2_147_483_647)

const SECONDS_OF_UNIT: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 24 * 3600 }

/** @returns seconds */
export function parseDuration(text: string): number {
  const [, count, unit = ''] = /^([1-9]\d{0,4})([mhd])$/.exec(text) ?? []
  if (count === undefined) throw new InvalidArgumentError('It must be a duration such as 30m, 24h or 7d.')
  return Number(count) * (SECONDS_OF_UNIT[unit] ?? 0)
}

/** The minimum age of messages to prune, in days. */
export function parseDays(text: string): number {
  const days = Number(/^(\d{1,5})d$/.exec(text)?.[1] ?? Number.NaN)
  if (!(days >= MIN_AGE_DAYS))
    throw new InvalidArgumentError(
      `It must be a number of days such as 90d, at least ${MIN_AGE_DAYS}d: late callbacks may need newer messages.`,
    )
  return days
}

/** ISO 8601 with a zone: a local time would mean another moment on another machine. */
export function parseTime(text: string): Date {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d.*(?:Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) throw new InvalidArgumentError('It must be a time such as 2027-03-01T17:00:00Z.')
  return new Date(at)
}

export function parseWindow(text: string): SendWindow | 'any' {
  if (text === 'any') return text
  const read = readSendWindow(text)
  if ('window' in read) return read.window
  throw new InvalidArgumentError(`It ${read.fault}, such as 08:00-21:00, or any.`)
}

export function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || seconds <= 0 || seconds > 60)
    throw new InvalidArgumentError('It must be a number of seconds, more than 0 and at most 60.')
  return seconds
}

export function parseShare(text: string): number {
  const share = Number(text)
  if (text.trim() === '' || !(share >= 0 && share <= 1))
    throw new InvalidArgumentError('It must be a number from 0 to 1.')
  return share
}
