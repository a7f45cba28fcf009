// The dashboard: which path shows which page, and who may see it. The server renders every page from a few
// statements; a browser without JavaScript lacks the automatic refresh.
import { fileURLToPath } from 'node:url'
import { type ErrorRequestHandler, type Request, type RequestHandler, Router } from 'express'
import { readAccountState } from '../../db/account-row.ts'
import { readSegmentPrice } from '../../db/segment-price.ts'
import type { KeptCounts } from '../../db/overview.ts'
import type { HealthWatch } from '../../processes/health-watch.ts'
import type { LazyRecording, Runtime } from '../../processes/runtime.ts'
import { CachedFigure } from '../../shared/cached-figure.ts'
import { DatabaseError, SchemaError } from '../../shared/errors.ts'
import { errorFields, type Logger } from '../../shared/log.ts'
import type { GuessLimit } from '../guess-limit.ts'
import type { Credentials } from './browser-cookie.ts'
import { bulkRoutes } from './bulk-routes.ts'
import { codePage, parseCode } from './code-page.ts'
import { CODE_SORTS } from './code-sorting.ts'
import { errorCodesPage, errorCodesQuery } from './error-codes-page.ts'
import { parseFilter } from './filter-query.ts'
import {
  accountOf,
  basePathOf,
  type Page,
  securityHeaders,
  sendErrorPage,
  sendPage,
  setAccount,
  setBasePath,
  setFindings,
} from './layout.ts'
import { messageRoutes } from './message-routes.ts'
import { overviewPage } from './overview-page.ts'
import { PolicyAdvice } from './policy-advice.ts'
import { outcomeRoutes } from './outcome-routes.ts'
import { queueRoutes } from './queue-routes.ts'
import { searchPage } from './search-page.ts'
import { requireSignIn } from './sign-in.ts'
import { type NamedSpan, spanQuery } from './spans.ts'

/** Every path of the dashboard. All others are left to the app. */
const PATHS = [
  '/',
  '/error-codes',
  '/error-codes/:code',
  '/messages',
  '/messages.csv',
  '/messages/*rest',
  '/queue',
  '/queue/pause',
  '/queue/resume',
  '/queue/outcomes',
  '/assets/:file',
]

/** `open` shows the dashboard without credentials: for a process that no other machine can reach. */
export type Access = { readonly credentials: Credentials; readonly guessLimit: GuessLimit } | 'open'

export function dashboardRoute(
  runtime: Runtime,
  recording: LazyRecording,
  access: Access,
  health: HealthWatch,
): Router {
  const { publicBaseUrl } = runtime.config
  const publicUrl = URL.canParse(publicBaseUrl) ? new URL(publicBaseUrl) : null
  const publicPath = publicUrl?.pathname.replace(/\/$/, '') ?? ''
  // If a proxy removes a prefix of the public path, the mount point is the rest. Links need the whole public path.
  const publicPathOf = ({ baseUrl }: Request): string => (publicPath.endsWith(baseUrl) ? publicPath : baseUrl)
  const guards =
    access === 'open'
      ? []
      : [
          requireSignIn({
            ...access,
            publicBaseUrl,
            // Clients can forge X-Forwarded-Proto.
            isSecure: publicUrl?.protocol === 'https:',
            basePathOf: publicPathOf,
          }),
        ]
  const operator = access === 'open' ? UNNAMED : access.credentials.username
  const router = Router({ caseSensitive: true })
  router.all(
    PATHS,
    ...guards,
    securityHeaders,
    (request, response, next) => {
      setBasePath(response, publicPathOf(request))
      next()
    },
    pageRoutes(runtime, health, [
      // Before the routes of one message: `bulk` is no id.
      bulkRoutes(runtime, recording, operator, publicUrl),
      messageRoutes(runtime, recording, operator, publicUrl),
      queueRoutes(runtime, operator, publicUrl),
      outcomeRoutes(runtime, recording, operator, publicUrl),
    ]),
  )
  return router
}

/** Who acts, if nobody has to sign in. */
const UNNAMED = 'dashboard'

/** Prices of a segment are taken from the newest messages of this time. */
const PRICED_SECONDS = 30 * 86_400
/** Prices hardly change. */
const PRICE_AGE = { minMs: 60_000, maxMs: 3_600_000 }

/** The pages behind the sign-in. Their errors are pages as well. */
function pageRoutes(
  { database, policy, logger, config }: Runtime,
  health: HealthWatch,
  routers: readonly Router[],
): Router {
  const { showContent } = config.dashboard
  const router = Router({ caseSensitive: true })
  router.get('/assets/:file', sendAsset)
  router.use(async (_request, response, next) => {
    // In parallel, so that an unresponsive database costs one time-out and not two.
    const [account, findings] = await Promise.all([readAccountState(database), health.findings()])
    setAccount(response, account)
    setFindings(response, findings)
    next()
  })
  const hasAllowlist = config.recipientAllowlist !== null
  const kept: KeptCounts = new Map()
  const advice = new PolicyAdvice(database, policy, logger)
  const price = new CachedFigure(
    () => readSegmentPrice(database, PRICED_SECONDS),
    (error) => logger.warn('Dashboard: the price of a segment cannot be read', errorFields(error)),
    PRICE_AGE,
  )
  router.get(
    '/',
    withSpan((base, span) => overviewPage(database, base, span, hasAllowlist, kept)),
  )
  router.get('/error-codes', async (request, response) => {
    const { data, error } = errorCodesQuery.safeParse(request.query)
    if (error !== undefined)
      return sendErrorPage(
        request,
        response,
        error.issues[0]?.path[0] === 'sort' ? UNKNOWN_SORT : UNKNOWN_SPAN,
      )
    const { now } = accountOf(response)
    const view = { base: basePathOf(response), policy, now, price: await price.read() }
    sendPage(request, response, await errorCodesPage(database, view, data))
  })
  router.get('/error-codes/:code', async (request, response) => {
    const code = parseCode(request.params.code)
    if (code === undefined) return sendErrorPage(request, response, UNKNOWN_CODE)
    const { data, success } = spanQuery.safeParse(request.query)
    if (!success) return sendErrorPage(request, response, UNKNOWN_SPAN)
    const { now } = accountOf(response)
    const view = {
      ...{ base: basePathOf(response), policy, showContent, now },
      ...{ advice: advice.latest(), price: await price.read() },
    }
    sendPage(request, response, await codePage(database, view, code, data.span))
  })
  router.get('/messages', async (request, response) => {
    const filter = parseFilter(request.query, accountOf(response).now, showContent)
    if ('fault' in filter) return sendErrorPage(request, response, { ...INVALID_SEARCH, text: filter.fault })
    sendPage(request, response, await searchPage(database, basePathOf(response), filter, showContent))
  })
  router.use(...routers)
  router.use(answerErrors(logger))
  return router
}

function withSpan(render: (base: string, span: NamedSpan) => Promise<Page>): RequestHandler {
  return async (request, response) => {
    const { data, success } = spanQuery.safeParse(request.query)
    if (!success) return sendErrorPage(request, response, UNKNOWN_SPAN)
    sendPage(request, response, await render(basePathOf(response), data.span))
  }
}

const own = (name: string): string => fileURLToPath(new URL(`assets/${name}`, import.meta.url))
const ASSETS: Readonly<Record<string, () => string>> = {
  'dashboard.css': () => own('dashboard.css'),
  'dashboard.js': () => own('dashboard.js'),
  'icon.svg': () => own('icon.svg'),
}

const sendAsset: RequestHandler<{ file: string }> = (request, response, next) => {
  const { file } = request.params
  const path = Object.hasOwn(ASSETS, file) ? ASSETS[file]?.() : undefined
  if (path === undefined) return next()
  response.set('Cache-Control', 'private, max-age=300')
  // A client that closed the connection is not an error.
  response.sendFile(path, (error) => error && !request.socket.destroyed && next(error))
}

function answerErrors(logger: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent) return next(error)
    if (error instanceof DatabaseError && error.isRefusal) {
      logger.warn('Dashboard: the database refused a query', errorFields(error))
      return sendErrorPage(request, response, INVALID_SEARCH)
    }
    if (error instanceof DatabaseError || error instanceof SchemaError) {
      logger.warn('Dashboard: the database failed', errorFields(error))
      return sendErrorPage(request, response, DATABASE_UNAVAILABLE)
    }
    const status = error instanceof Error && 'status' in error ? Number(error.status) : 500
    if (status >= 400 && status < 500) return sendErrorPage(request, response, { ...INVALID_REQUEST, status })
    logger.error('Dashboard: a request failed', errorFields(error))
    sendErrorPage(request, response, INTERNAL_ERROR)
  }
}

const UNKNOWN_SPAN = { status: 400, title: 'Unknown time range', text: 'Choose 1h, 24h, 7d or 30d.' }
const UNKNOWN_SORT = {
  status: 400,
  title: 'Unknown order',
  text: `Sort by one of: ${CODE_SORTS.join(', ')}.`,
}
const UNKNOWN_CODE = {
  status: 404,
  title: 'Not an error code',
  text: 'An error code is a number such as 30003.',
}
const INVALID_SEARCH = {
  status: 400,
  title: 'Invalid search',
  text: 'The database refuses one of the values.',
}
const INVALID_REQUEST = { title: 'Invalid request', text: 'The server cannot read this request.' }
const INTERNAL_ERROR = {
  status: 500,
  title: 'Internal error',
  text: 'The log of the web process has the details.',
}
const DATABASE_UNAVAILABLE = {
  status: 503,
  title: 'Database unavailable',
  text: 'The database is unreachable, or its schema is out of date. Pages reload automatically. If you confirmed an action, it may or may not have been performed: check the message before you repeat it.',
  refreshSeconds: 5,
}
