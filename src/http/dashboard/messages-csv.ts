// The messages of a filter as a CSV file: GET /messages.csv, with the query of the messages page. It is streamed: the next
// page of messages is read after the client has taken the one before.
import { pipeline } from 'node:stream/promises'
import { type Request, type Response, Router } from 'express'
import type { Cursor } from '../../db/search.ts'
import type { StoredMessage } from '../../db/messages.ts'
import { latestCode } from '../../delivery/outcome.ts'
import { exportMessages } from '../../messages/export-messages.ts'
import { searchFields } from '../../messages/message-filter.ts'
import type { Runtime } from '../../processes/runtime.ts'
import { type CsvField, csvLine } from '../../shared/csv.ts'
import { errorFields } from '../../shared/log.ts'
import { filterParameters, type FilterQuery, parseFilter } from './filter-query.ts'
import { accountOf, basePathOf, sendErrorPage } from './layout.ts'
import { metadataJson, shownNumber, shownReason, shownUser } from './shown-message.ts'

export interface CsvLimits {
  readonly maxMessages: number
  readonly pageSize: number
  /** After this time, no further page is read, and the last line says so. */
  readonly readMs: number
  /** After this time, a client that has not taken the whole file is disconnected. */
  readonly sendMs: number
  /** The exports that one process runs at the same time. They share its database connections with the callbacks. */
  readonly maxAtOnce: number
}

export const CSV_LIMITS: CsvLimits = {
  maxMessages: 100_000,
  pageSize: 500,
  readMs: 120_000,
  sendMs: 180_000,
  maxAtOnce: 2,
}

/** Name and value of each column. The names are public: columns are added at the end, never renamed. */
const COLUMNS: readonly (readonly [string, (message: StoredMessage, showContent: boolean) => CsvField])[] = [
  ['id', ({ id }) => id],
  ['created_at', ({ createdAt }) => createdAt.toISOString()],
  ['to', shownNumber],
  ['user', shownUser],
  ['status', ({ status }) => status],
  ['error_code', latestCode],
  ['retries', ({ retryCount }) => retryCount],
  ['next_retry_at', ({ nextRetryAt }) => nextRetryAt?.toISOString() ?? null],
  ['sid', ({ sid }) => sid],
  ['reason', shownReason],
  ['metadata', metadataJson],
]

/** Without it, Excel reads the file in an old encoding. */
const BYTE_ORDER_MARK = '\ufeff'

/** @param operator the name of the person who is signed in, for the log */
export function csvRoute(
  { database, config, logger }: Pick<Runtime, 'database' | 'config' | 'logger'>,
  operator: string,
  limits = CSV_LIMITS,
): Router {
  const { showContent } = config.dashboard
  let running = 0
  const send = async (filter: FilterQuery, response: Response, now: Date): Promise<void> => {
    const signal = AbortSignal.timeout(limits.readMs)
    const pages = exportMessages(database, filter.search, filter.after, { ...limits, signal })
    const log = { by: operator, ...searchFields(filter.search), messages: 0, isComplete: false }
    const restOf = (next: Cursor): string => `${basePathOf(response)}/messages.csv?${queryOf(filter, next)}`
    const lines = linesOf(pages, showContent, restOf, log)
    // Read before the head is set: a database that is away is answered as on any other page, not as a file.
    const first = await lines.next()
    setHead(response, now)
    const rest = async function* (): AsyncGenerator<string> {
      if (!first.done) yield first.value
      yield* lines
    }
    try {
      await pipeline(rest, response, { signal: AbortSignal.timeout(limits.sendMs) })
      logger.info('Messages exported', log)
    } catch (error) {
      // The connection is closed in the middle of the file, which tells the client that the file is incomplete.
      logger.warn('An export of messages was cut off', { ...log, ...errorFields(error) })
    }
  }
  const router = Router({ caseSensitive: true })
  router.get('/messages.csv', async (request, response) => {
    const { now } = accountOf(response)
    const filter = parseFilter(request.query, now, showContent)
    if ('fault' in filter) return refuse(request, response, 400, 'Invalid search', filter.fault)
    if (running >= limits.maxAtOnce) return refuse(request, response, 429, 'Too many exports', BUSY)
    if (request.method === 'HEAD') {
      setHead(response, now)
      return void response.end()
    }
    running += 1
    try {
      await send(filter, response, now)
    } finally {
      running -= 1
    }
  })
  return router
}

const BUSY = 'Other exports of this process are still running. Try again when they are complete.'

function refuse(request: Request, response: Response, status: number, title: string, text: string): void {
  sendErrorPage(request, response, { status, title, text })
}

function setHead(response: Response, now: Date): void {
  const name = `messages-${now.toISOString().slice(0, 16).replaceAll(':', '')}Z.csv`
  response
    .set('Content-Type', 'text/csv; charset=utf-8; header=present')
    .set('Content-Disposition', `attachment; filename="${name}"`)
    .set('Cache-Control', 'no-store')
}

/** The time range as this file has it: `24h` would mean another one when the rest is read. */
function queryOf({ fields, search: { since, until } }: FilterQuery, { createdAt, id }: Cursor): string {
  const query = filterParameters(fields)
  query.delete('span')
  if (since !== null) query.set('since', since.toISOString())
  if (until !== null) query.set('until', until.toISOString())
  query.set('after', createdAt)
  query.set('after-id', `${id}`)
  return query.toString()
}

/** @param log counts the messages, and is complete if the file is */
async function* linesOf(
  pages: ReturnType<typeof exportMessages>,
  showContent: boolean,
  restOf: (next: Cursor) => string,
  log: { messages: number; isComplete: boolean },
): AsyncGenerator<string, void> {
  let head = BYTE_ORDER_MARK + csvLine(COLUMNS.map(([name]) => name))
  for (;;) {
    const { done, value } = await pages.next()
    if (done) {
      log.isComplete = value === null
      yield head + (value === null ? '' : cutLine(log.messages, restOf(value)))
      return
    }
    log.messages += value.length
    yield head + value.map((message) => messageLine(message, showContent)).join('')
    head = ''
  }
}

function messageLine(message: StoredMessage, showContent: boolean): string {
  return csvLine(COLUMNS.map(([, fieldOf]) => fieldOf(message, showContent)))
}

/** A line like the others, with the note in the first field. A number sign cannot begin an id. */
function cutLine(messages: number, rest: string): string {
  const note = `# This file is incomplete: the export ended at a limit, after ${messages} messages. The rest: ${rest}`
  return csvLine([note, ...COLUMNS.slice(1).map(() => null)])
}
