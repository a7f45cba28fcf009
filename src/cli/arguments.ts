// What the commands take as arguments, from text. Wrong ones end the command with exit code 2, before anything is done.
import { InvalidArgumentError } from 'commander'

export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

export function limitOf(text: string): number {
  const limit = wholeNumber(text)
  if (limit < 1 || limit > 10_000) throw new InvalidArgumentError('It must be from 1 to 10000.')
  return limit
}

const SECONDS_OF_UNIT: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 24 * 3600 }

/** In seconds. */
export function spanOf(text: string): number {
  const [, count, unit = ''] = /^([1-9]\d{0,4})([mhd])$/.exec(text) ?? []
  if (count === undefined) throw new InvalidArgumentError('It must be a time such as 30m, 24h or 7d.')
  return Number(count) * (SECONDS_OF_UNIT[unit] ?? 0)
}

export function secondsOf(text: string): number {
  const seconds = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || seconds <= 0 || seconds > 60)
    throw new InvalidArgumentError('It must be a number of seconds up to 60.')
  return seconds
}

export function shareOf(text: string): number {
  const share = Number(text)
  if (text.trim() === '' || !(share >= 0 && share <= 1))
    throw new InvalidArgumentError('It must be a number from 0 to 1.')
  return share
}
