// The query of the messages page: the fields of the filter form, and the position of the page.
import { z } from 'zod'
import type { Cursor, Search } from '../../db/search.ts'
import { parseMessageId } from '../../delivery/message-proof.ts'
import {
  DELIVERY_STATUSES,
  type DeliveryStatus,
  isDelivered,
  isFailure,
  isFinal,
} from '../../delivery/status.ts'
import { SHOWN_DIGITS } from '../../shared/log.ts'
import { spanName } from './spans.ts'

/** Filters that match several statuses. */
export const STATUS_GROUPS: ReadonlyMap<string, readonly DeliveryStatus[]> = new Map([
  ['delivered', DELIVERY_STATUSES.filter(isDelivered)],
  ['failed-for-good', DELIVERY_STATUSES.filter((status) => isFailure(status) && status !== 'retrying')],
  ['in-flight', DELIVERY_STATUSES.filter((status) => !isFinal(status))],
])

const MAX_USER = 2 ** 31 - 1
/** As PostgreSQL writes a timestamp. An app may have stored milliseconds as seconds, so a year can have six digits. */
const POSITION =
  /^(-infinity|\d{4,6}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]) ([01]\d|2[0-3])(:[0-5]\d){2}(\.\d{1,6})?([+-]\d\d(:\d\d)?)?)$/

const BAD_USER = 'A user is an integer (column user_id).'
const BROKEN_LINK = 'The link to this page is incomplete.'

export interface MessageFilter {
  readonly search: Search
  readonly after: Cursor | null
  /** As they arrived, for the form and the links. */
  readonly fields: FilterFields
}

/** A field that is missing or repeated counts as empty. */
const text = z.string().trim().catch('')

const fieldsSchema = z.object({
  span: text,
  status: text,
  code: text,
  number: text,
  user: text,
  since: text,
  until: text,
  after: text,
  'after-id': text,
})

export type FilterFields = Readonly<z.infer<typeof fieldsSchema>>

/** Null for an empty field, which does not filter. */
const optional = <T>(schema: z.ZodType<T, string>) =>
  z
    .string()
    .transform((value) => (value === '' ? null : value))
    .pipe(schema.nullable())

const statuses = z
  .string()
  .transform((name) => STATUS_GROUPS.get(name) ?? DELIVERY_STATUSES.filter((status) => status === name))
  .refine((found) => found.length > 0, 'Unknown status.')

/** Browsers send times without a zone; they are UTC. */
const time = z.iso
  .datetime({ local: true, error: 'Enter a time as 2026-07-01T12:00 (UTC).' })
  .transform((local) => new Date(`${local}Z`))

const filterSchema = z
  .object({
    span: z
      .string()
      .transform((span) => (span === 'all' ? '' : span))
      .pipe(optional(spanName)),
    status: optional(statuses),
    code: optional(
      z
        .string()
        .regex(/^\d{1,6}$/, 'An error code is a number such as 30003.')
        .transform(Number),
    ),
    number: z
      .string()
      .transform((number) => number.replaceAll(/[\s()+.-]/g, ''))
      .pipe(
        optional(
          z.string().regex(/^\d{1,15}$/, 'Enter the last digits of a phone number, or the full number.'),
        ),
      ),
    user: optional(
      z
        .string()
        .regex(/^\d{1,10}$/, BAD_USER)
        .transform(Number)
        .refine((user) => user <= MAX_USER, BAD_USER),
    ),
    since: optional(time),
    until: optional(time),
    after: optional(z.string().regex(POSITION, BROKEN_LINK)),
    'after-id': z.string().transform(parseMessageId),
  })
  .refine((filter) => filter.after === null || filter['after-id'] !== null, BROKEN_LINK)

/** @returns for an invalid query, a sentence about its first invalid field */
export function parseFilter(
  query: unknown,
  now: Date,
  showContent: boolean,
): MessageFilter | { readonly fault: string } {
  const fields = fieldsSchema.parse(query)
  const { data, error } = filterSchema.safeParse(fields)
  if (error !== undefined) return { fault: error.issues[0]?.message ?? '' }
  const { span, status, code, number, user, since, until, after, 'after-id': afterId } = data
  return {
    fields,
    search: {
      statuses: status,
      code,
      number: number === null ? null : { digits: number, part: partOf(number, showContent) },
      userId: user,
      since: since ?? (span === null ? null : new Date(now.getTime() - span.seconds * 1000)),
      until,
    },
    after: after === null || afterId === null ? null : { createdAt: after, id: afterId },
  }
}

/**
 * Pages may show only the last digits. Then a search for more digits matches full numbers only; otherwise the hidden digits
 * could be found one at a time.
 */
function partOf(digits: string, showContent: boolean): NonNullable<Search['number']>['part'] {
  return showContent || digits.length <= SHOWN_DIGITS ? 'end' : 'whole'
}
