// Retries or cancels all messages that match the filter of the messages page. GET counts them and asks to confirm, POST does
// it for a bounded number of messages, and shows the first page again with what is left. The state is in the query: when it
// began, and what was done so far.
import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { type Cursor, type Now, readNow } from '../../db/search.ts'
import { parseMessageId } from '../../delivery/message-proof.ts'
import { actOnMatches, type BulkAction, countMatches, searchOf } from '../../messages/act-on-matches.ts'
import type { BulkResult } from '../../messages/bulk-result.ts'
import { isEmptySearch } from '../../messages/message-filter.ts'
import { retriesPerSecond } from '../../messages/retry-pace.ts'
import type { LazyRecording, Runtime } from '../../processes/runtime.ts'
import { bulkPage } from './bulk-page.ts'
import { filterParameters, type FilterQuery, parseFilter } from './filter-query.ts'
import { parseForm } from './forms.ts'
import { accountOf, basePathOf, sendErrorPage, sendPage } from './layout.ts'
import { isSameOrigin } from './same-origin.ts'

const MAX_PER_CLICK = 1_000
/** Counting ends at this number of messages, or after this time. */
const MAX_COUNTED = 10_000
const COUNT_MS = 5_000
/** A click ends after this time. The batch that is running is finished. */
const CLICK_MS = 10_000

interface BulkRequest {
  readonly action: BulkAction
  readonly filter: FilterQuery
  readonly after: Cursor | null
  readonly soFar: Pick<BulkResult, 'matched' | 'changed' | 'failed'>
  readonly isDone: boolean
}

/**
 * @param operator the name of the person who is signed in
 * @param publicUrl the PUBLIC_BASE_URL; null if it is not a URL
 */
export function bulkRoutes(
  runtime: Runtime,
  recording: LazyRecording,
  operator: string,
  publicUrl: URL | null,
): Router {
  const router = Router({ caseSensitive: true })
  for (const kind of ['retry', 'cancel'] as const) {
    const path = `/messages/bulk/${kind}`
    router.get(path, async (request, response) => {
      const bulk = await readRequest(runtime, kind, operator, request, accountOf(response).now)
      if ('fault' in bulk) return refuse(request, response, bulk.fault)
      const { action, filter, after, soFar, isDone } = bulk
      const base = basePathOf(response)
      const range = { after, alreadyChanged: soFar.changed, maxMatched: MAX_COUNTED }
      const planned = isDone
        ? null
        : await countMatches({ ...runtime, random: Math.random }, action, {
            ...range,
            signal: AbortSignal.timeout(COUNT_MS),
          })
      const view = { base, kind, search: action.search, fields: filter.fields, soFar, planned }
      const messages = `${base}/messages?${filterParameters(filter.fields).toString()}`
      const post = `${base}${path}?${queryOf(bulk).toString()}`
      sendPage(request, response, bulkPage({ ...view, messages, action: post, maxPerClick: MAX_PER_CLICK }))
    })
    router.post(path, parseForm, async (request, response) => {
      const bulk = await readRequest(runtime, kind, operator, request, accountOf(response).now)
      if ('fault' in bulk) return refuse(request, response, bulk.fault)
      const isOutdated = parseStart(request.query) === null || bulk.isDone
      if (isOutdated || !isSameOrigin(request, publicUrl))
        return sendErrorPage(request, response, FORM_REFUSED)
      const { action, after, soFar } = bulk
      const result = await actOnMatches(await recording.get(), action, {
        ...{ after, alreadyChanged: soFar.changed, maxMatched: MAX_PER_CLICK },
        signal: AbortSignal.timeout(CLICK_MS),
      })
      const next = { ...bulk, after: result.last, soFar: sum(soFar, result), isDone: result.isComplete }
      response.redirect(303, `${basePathOf(response)}${path}?${queryOf(next).toString()}`)
    })
  }
  return router
}

const FORM_REFUSED = {
  status: 403,
  title: 'Form refused',
  text: 'No action was taken: the form is incomplete, or does not come from this dashboard. Filter the messages again and use the button there.',
} as const
const BROKEN_LINK = 'The link to this page is invalid. Filter the messages again and use the button there.'
const NO_FILTER = 'Set a filter first: without one, all messages match.'

function refuse(request: Request, response: Response, text: string): void {
  sendErrorPage(request, response, { status: 400, title: 'Invalid search', text })
}

const figure = z
  .string()
  .regex(/^\d{1,9}$/)
  .transform(Number)
  .catch(0)

const startSchema = z.object({ 'as-of': z.iso.datetime(), 'max-id': z.string().transform(parseMessageId) })
const progressSchema = z.object({
  matched: figure,
  changed: figure,
  failed: figure,
  done: z.literal('true').nullable().catch(null),
})

/** When the page was first opened; null on the first page. */
function parseStart(query: unknown): Now | null {
  const { data } = startSchema.safeParse(query)
  const maxId = data?.['max-id'] ?? null
  return data === undefined || maxId === null ? null : { at: new Date(data['as-of']), maxId }
}

async function readRequest(
  { database, config }: Runtime,
  kind: BulkAction['kind'],
  by: string,
  { query }: Request,
  now: Date,
): Promise<BulkRequest | { readonly fault: string }> {
  const start = parseStart(query) ?? { ...(await readNow(database)), at: now }
  const filter = parseFilter(query, start.at, config.dashboard.showContent)
  if ('fault' in filter) return filter
  if (isEmptySearch(filter.search)) return { fault: NO_FILTER }
  const { done, ...soFar } = progressSchema.parse(query)
  // A crafted link could schedule the retries for the far future.
  const isPlausible = start.at <= now && soFar.changed + soFar.failed <= soFar.matched
  if (!isPlausible) return { fault: BROKEN_LINK }
  const perSecond = retriesPerSecond(config.sendRatePerSecond)
  const search = searchOf({ kind, search: filter.search })
  const action = { kind, search, force: false, by, start, retriesPerSecond: perSecond }
  return { action, filter, after: filter.after, soFar, isDone: done !== null }
}

function queryOf({ action, filter, after, soFar, isDone }: BulkRequest): URLSearchParams {
  const query = filterParameters(filter.fields)
  query.set('as-of', action.start.at.toISOString())
  query.set('max-id', `${action.start.maxId}`)
  for (const [name, value] of Object.entries(soFar)) query.set(name, `${value}`)
  if (after !== null) {
    query.set('after', after.createdAt)
    query.set('after-id', `${after.id}`)
  }
  if (isDone) query.set('done', 'true')
  return query
}

function sum(one: BulkRequest['soFar'], other: BulkRequest['soFar']): BulkRequest['soFar'] {
  return {
    matched: one.matched + other.matched,
    changed: one.changed + other.changed,
    failed: one.failed + other.failed,
  }
}
