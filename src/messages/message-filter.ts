// The filter of messages that the commands and the dashboard share: how each field is written, and the search that it
// means. A field that cannot be read gives a sentence that says how to write it.
import type { MetadataCondition, Search } from '../db/search.ts'
import { OWN_METADATA_KEYS } from '../db/message-row.ts'
import { addSeconds } from '../delivery/seconds.ts'
import {
  DELIVERY_STATUSES,
  type DeliveryStatus,
  isDelivered,
  isFailure,
  isFinal,
} from '../delivery/status.ts'
import { isStorable } from './message-metadata.ts'

/** Names that match several statuses. */
export const STATUS_GROUPS: ReadonlyMap<string, readonly DeliveryStatus[]> = new Map([
  ['delivered', DELIVERY_STATUSES.filter(isDelivered)],
  ['failed-for-good', DELIVERY_STATUSES.filter((status) => isFailure(status) && status !== 'retrying')],
  ['in-flight', DELIVERY_STATUSES.filter((status) => !isFinal(status))],
])

/** A time, or a number of seconds before now. */
export type Moment = { readonly at: Date } | { readonly secondsAgo: number }

/** A field that is left out or null does not filter. */
export interface MessageFilter {
  readonly status?: readonly DeliveryStatus[] | null
  readonly code?: number | null
  /** Digits of the recipient's number. */
  readonly number?: string | null
  readonly user?: string | null
  readonly since?: Moment | null
  readonly until?: Moment | null
  readonly metadata?: readonly MetadataCondition[]
}

/** @param part whether the digits are the last ones of the number, or all of them */
export function toSearch(
  filter: MessageFilter,
  now: Date,
  part: NonNullable<Search['number']>['part'] = 'end',
): Search {
  const { status, code, number, user, since, until, metadata } = filter
  const timeOf = (moment: Moment): Date => ('at' in moment ? moment.at : addSeconds(now, -moment.secondsAgo))
  return {
    statuses: status ?? null,
    code: code ?? null,
    number: number == null ? null : { digits: number, part },
    userId: user ?? null,
    since: since == null ? null : timeOf(since),
    until: until == null ? null : timeOf(until),
    metadata: metadata ?? [],
  }
}

/** True if the search finds all messages. */
export function isEmptySearch({ metadata, ...fields }: Search): boolean {
  return metadata.length === 0 && Object.values(fields).every((field) => field === null)
}

/** The fields for a log line. A user, a number and the values of metadata may be personal data. */
export function searchFields({ statuses, code, number, userId, since, until, metadata }: Search): object {
  return {
    statuses,
    code,
    since,
    until,
    hasUser: userId !== null,
    hasNumber: number !== null,
    metadataKeys: metadata.map(({ key }) => key),
  }
}

export type Read<T> = { readonly value: T } | { readonly fault: string }

/** A status or a group, or several of them with commas. */
export function readStatuses(text: string): Read<readonly DeliveryStatus[]> {
  const found = text
    .split(',')
    .map((name) => STATUS_GROUPS.get(name.trim()) ?? DELIVERY_STATUSES.filter((each) => each === name.trim()))
  if (found.some((statuses) => statuses.length === 0)) return { fault: UNKNOWN_STATUS }
  return { value: [...new Set(found.flat())] }
}

export const STATUS_NAMES: readonly string[] = [...new Set([...DELIVERY_STATUSES, ...STATUS_GROUPS.keys()])]
const UNKNOWN_STATUS = `Unknown status. The statuses are ${STATUS_NAMES.join(', ')}.`

export function readCode(text: string): Read<number> {
  if (!/^\d{1,6}$/.test(text)) return { fault: 'An error code is a number such as 30003.' }
  return { value: Number(text) }
}

/** @returns the digits */
export function readNumber(text: string): Read<string> {
  const digits = text.replaceAll(/[\s()+.-]/g, '')
  if (!/^\d{1,15}$/.test(digits))
    return { fault: 'Enter the last digits of a phone number, or the full number.' }
  return { value: digits }
}

const MAX_USER_LENGTH = 255

export function readUser(text: string): Read<string> {
  if (text === '' || [...text].length > MAX_USER_LENGTH || !isStorable(text))
    return { fault: `A user is the value of column user_id, with at most ${MAX_USER_LENGTH} characters.` }
  return { value: text }
}

const SECONDS_OF_UNIT: ReadonlyMap<string, number> = new Map([
  ['m', 60],
  ['h', 3_600],
  ['d', 86_400],
])
const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d)?$/

/** A duration before now, or a time of ISO 8601. Without a zone it is in UTC, as all times that sms-retry shows. */
export function readMoment(text: string): Read<Moment> {
  const [, count, unit = ''] = /^([1-9]\d{0,4})([mhd])$/.exec(text) ?? []
  const unitSeconds = SECONDS_OF_UNIT.get(unit)
  if (unitSeconds !== undefined) return { value: { secondsAgo: Number(count) * unitSeconds } }
  const [, local, zone = 'Z'] = TIME.exec(text) ?? []
  const at = new Date(`${local}${zone}`)
  // Date.parse accepts the 30th of February, and means the 2nd of March. PostgreSQL has no year 0.
  const isReal = !Number.isNaN(at.getTime()) && isDay(text)
  return isReal ? { value: { at } } : { fault: BAD_MOMENT }
}

const BAD_MOMENT = 'Enter a time as 2026-07-01T12:00 (UTC), or a duration before now such as 30m, 24h or 7d.'

function isDay(text: string): boolean {
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split('-').map(Number)
  return year > 0 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate()
}

const MAX_CONDITION_LENGTH = 500
const BAD_METADATA = 'Enter metadata as key=value, such as order=1001.'

/** `key=value`. The value may have more equals signs, or be empty. */
export function readMetadata(text: string): Read<MetadataCondition> {
  const at = text.indexOf('=')
  const key = text.slice(0, at).trim()
  if (at < 0 || key === '' || text.length > MAX_CONDITION_LENGTH || !isStorable(text))
    return { fault: BAD_METADATA }
  const [topLevel = ''] = key.split('.')
  if ((OWN_METADATA_KEYS as readonly string[]).includes(topLevel))
    return { fault: `The key ${topLevel} belongs to sms-retry. Enter a key of your app's own metadata.` }
  return { value: { key, value: text.slice(at + 1).trim() } }
}
