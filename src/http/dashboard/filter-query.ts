// The query of the messages page: the fields of the filter form, and the position of the page.
import { z } from 'zod'
import type { Cursor, MetadataCondition, Search } from '../../db/search.ts'
import { parseMessageId } from '../../delivery/message-proof.ts'
import {
  type Read,
  readCode,
  readMetadata,
  readMoment,
  readNumber,
  readStatuses,
  readUser,
  toSearch,
} from '../../messages/message-filter.ts'
import { SHOWN_DIGITS } from '../../shared/log.ts'
import { spanName } from './spans.ts'

/** As PostgreSQL writes a timestamp. An app may have stored milliseconds as seconds, so a year can have six digits. */
const POSITION =
  /^(-infinity|\d{4,6}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]) ([01]\d|2[0-3])(:[0-5]\d){2}(\.\d{1,6})?([+-]\d\d(:\d\d)?)?)$/

const BROKEN_LINK = 'The link to this page is incomplete.'

export interface FilterQuery {
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
  metadata: text,
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

/** A field that the commands read in the same way. */
const shared = <T>(read: (value: string) => Read<T>) =>
  optional(
    z.string().transform((value, context) => {
      const result = read(value)
      if ('value' in result) return result.value
      context.addIssue(result.fault)
      return z.NEVER
    }),
  )

/** Several conditions, separated by commas. */
function readConditions(value: string): Read<readonly MetadataCondition[]> {
  const results = value.split(',').map(readMetadata)
  const faults = results.flatMap((result) => ('fault' in result ? [result.fault] : []))
  const [fault] = faults
  if (fault !== undefined) return { fault }
  return { value: results.flatMap((result) => ('value' in result ? [result.value] : [])) }
}

const querySchema = z
  .object({
    span: z
      .string()
      .transform((span) => (span === 'all' ? '' : span))
      .pipe(optional(spanName)),
    status: shared(readStatuses),
    code: shared(readCode),
    number: shared(readNumber),
    user: shared(readUser),
    since: shared(readMoment),
    until: shared(readMoment),
    metadata: shared(readConditions),
    after: optional(z.string().regex(POSITION, BROKEN_LINK)),
    'after-id': z.string().transform(parseMessageId),
  })
  .refine((query) => query.after === null || query['after-id'] !== null, BROKEN_LINK)

/** @returns for an invalid query, a sentence about its first invalid field */
export function parseFilter(
  query: unknown,
  now: Date,
  showContent: boolean,
): FilterQuery | { readonly fault: string } {
  const fields = fieldsSchema.parse(query)
  const { data, error } = querySchema.safeParse(fields)
  if (error !== undefined) return { fault: error.issues[0]?.message ?? '' }
  const { span, after, 'after-id': afterId, ...filter } = data
  const since = filter.since ?? (span === null ? null : { secondsAgo: span.seconds })
  const part = partOf(filter.number ?? '', showContent)
  return {
    fields,
    search: toSearch({ ...filter, since, metadata: filter.metadata ?? [] }, now, part),
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

/** The fields that are set, without the position of the page, for a link to another page. */
export function filterParameters(fields: FilterFields): URLSearchParams {
  const set = Object.entries(fields).filter(([name, value]) => value !== '' && !name.startsWith('after'))
  return new URLSearchParams(set)
}
