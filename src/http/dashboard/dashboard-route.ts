// The dashboard: which address shows which page, who may see it, and what may be done there. Every page is made on the
// server from one or two statements; a browser without JavaScript misses the chart and the refreshing.
import { parseMessageId } from '../../delivery/message-proof.ts'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from 'express'
import { type Action, actOnMessage } from '../../messages/act-on-message.ts'
import { findMessage, type StoredMessage } from '../../db/messages.ts'
import { readClock } from '../../db/overdue.ts'
import { findIdBySid } from '../../db/search.ts'
import { DatabaseError, SchemaError } from '../../shared/errors.ts'
import { errorFields, type Logger } from '../../shared/log.ts'
import type { LazyRecording, Runtime } from '../../processes/runtime.ts'
import type { GuessLimit } from '../guess-limit.ts'
import { errorCodesPage } from './error-codes-page.ts'
import { type Credentials, DashboardKeys } from './dashboard-keys.ts'
import { FormTokens } from './form-tokens.ts'
import {
  baseOf,
  hasBasePath,
  setBasePath,
  type Page,
  securityHeaders,
  sendPage,
  sendErrorPage,
} from './layout.ts'
import { confirmPage, messagePage, NOTICES, possibleActions, type View } from './message-page.ts'
import { messagesPage, parseForm } from './messages-page.ts'
import { overviewPage } from './overview-page.ts'
import { queuePage } from './queue-page.ts'
import { signIn } from './sign-in.ts'
import { spanNamed } from './spans.ts'

/** Every address of the dashboard; whatever else is asked for is not its business. */
const ADDRESSES = ['/', '/error-codes', '/messages', '/messages/*rest', '/queue', '/assets/:file']

const MAX_FORM_BYTES = 2_000

/** Who may see it; `open` for a process that only this machine can reach: then nobody is asked for credentials. */
export type Access = { readonly credentials: Credentials; readonly guessLimit: GuessLimit } | 'open'

export function dashboardRoute(runtime: Runtime, recording: LazyRecording, access: Access): Router {
  const { database, policy, logger, config } = runtime
  const { showContent } = config.dashboard
  // A proxy that takes a prefix away is one that Twilio comes by as well.
  const publicUrl = URL.canParse(config.publicBaseUrl) ? new URL(config.publicBaseUrl) : null
  const prefix = publicUrl?.pathname.replace(/\/$/, '') ?? ''
  const keys = new DashboardKeys(access === 'open' ? 'open' : access.credentials, config.publicBaseUrl)
  const tokens = new FormTokens(keys)
  // Where it is mounted may be what is left of it.
  const publicBaseOf = ({ baseUrl }: Request): string => (prefix.endsWith(baseUrl) ? prefix : baseUrl)
  const router = Router({ caseSensitive: true })
  if (access !== 'open') {
    // What requests say of themselves, as in X-Forwarded-Proto, does not count.
    const isSecure = publicUrl?.protocol === 'https:'
    router.all(ADDRESSES, signIn({ ...access, keys, isSecure, baseOf: publicBaseOf }))
  }
  router.all(ADDRESSES, securityHeaders, (request, response, next) => {
    setBasePath(response, publicBaseOf(request))
    next()
  })
  router.get('/assets/:file', sendAsset)

  const ofSpan =
    (
      page: (base: string, span: NonNullable<ReturnType<typeof spanNamed>>) => Promise<Page>,
    ): RequestHandler =>
    async (request, response) => {
      const span = spanNamed(request.query['span'])
      if (span === null) return sendErrorPage(request, response, { status: 400, ...NO_SUCH_SPAN })
      sendPage(request, response, await page(baseOf(response), span))
    }
  router.get(
    '/',
    ofSpan((base, span) => overviewPage(database, base, span)),
  )
  router.get(
    '/error-codes',
    ofSpan((base, span) => errorCodesPage(database, base, span, policy)),
  )
  router.get('/queue', async (request, response) => {
    sendPage(request, response, await queuePage(database, baseOf(response)))
  })
  router.get('/messages', async (request, response) => {
    const form = parseForm(request.query, await readClock(database), showContent)
    if (typeof form === 'string') {
      return sendErrorPage(request, response, { status: 400, title: 'This cannot be looked for', text: form })
    }
    sendPage(request, response, await messagesPage(database, baseOf(response), form, showContent))
  })
  router.get('/messages/find', async (request, response) => {
    const what = String(request.query['what'] ?? '').trim()
    const id = parseMessageId(what) ?? (await findIdBySid(database, what))
    if (id === null) return sendErrorPage(request, response, { status: 404, ...NO_SUCH_MESSAGE })
    response.redirect(303, `${baseOf(response)}/messages/${id}`)
  })

  /** Shows something of the message that the address names. */
  const ofMessage =
    (
      show: (
        message: StoredMessage,
        view: View,
        request: Request,
        response: Response,
      ) => Promise<void> | void,
    ): RequestHandler =>
    async (request, response) => {
      const id = parseMessageId(String(request.params['id']))
      const message = id === null ? null : await findMessage(database, id)
      if (message === null) return sendErrorPage(request, response, { status: 404, ...NO_SUCH_MESSAGE })
      const notice = NOTICES.get(String(request.query['notice'])) ?? null
      const view = { base: baseOf(response), policy, now: await readClock(database), showContent, notice }
      await show(message, view, request, response)
    }
  router.get(
    '/messages/:id',
    ofMessage((message, view, request, response) => sendPage(request, response, messagePage(message, view))),
  )
  /** The form has the action that was confirmed. The token is for this action on this message, not on its id alone. */
  const tokenOf = ({ id, key }: StoredMessage, action: string): Promise<string> =>
    tokens.make(`${id} ${key} ${action}`)
  for (const kind of ['retry', 'cancel'] as const) {
    const path = `/messages/:id/${kind}`
    router.get(
      path,
      ofMessage(async (message, view, request, response) => {
        const action = possibleActions(message, view)[kind]
        if (action === null) return toMessage(response, message.id, 'nothing')
        const form = { action: JSON.stringify(action), token: await tokenOf(message, JSON.stringify(action)) }
        sendPage(request, response, confirmPage(message, view, action, form))
      }),
    )
    router.post(
      path,
      express.urlencoded({ extended: false, limit: MAX_FORM_BYTES }),
      ofMessage(async (message, _view, request, response) => {
        const { action, token } = (request.body ?? {}) as Record<string, unknown>
        if (
          typeof action !== 'string' ||
          isFromElsewhere(request) ||
          !FormTokens.areSame(token, await tokenOf(message, action))
        ) {
          return sendErrorPage(request, response, { status: 403, ...NOT_OURS })
        }
        // The token says that it is ours, unchanged.
        const { outcome } = await actOnMessage(await recording.get(), message, JSON.parse(action) as Action)
        toMessage(response, message.id, outcome === 'done' ? kind : 'nothing')
      }),
    )
  }
  router.use(answerTrouble(logger))
  return router
}

function toMessage(response: Response, id: number, notice: string): void {
  response.redirect(303, `${baseOf(response)}/messages/${id}?notice=${notice}`)
}

/** What browsers say of where a request comes from; the token is for those that do not say it. */
function isFromElsewhere(request: Request): boolean {
  return !['same-origin', 'none', undefined].includes(request.get('Sec-Fetch-Site'))
}

const NO_SUCH_SPAN = { title: 'There is no such span', text: 'Choose one of 1h, 24h, 7d and 30d.' }
const NO_SUCH_MESSAGE = { title: 'There is no such message', text: 'Or sms-retry does not manage it.' }
const NOT_OURS = {
  title: 'This form is not from here',
  text: 'Nothing was done. Open the message again, and press its button there.',
}

const require = createRequire(import.meta.url)
const own = (name: string): string => fileURLToPath(new URL(`assets/${name}`, import.meta.url))
const ASSETS: Readonly<Record<string, () => string>> = {
  'dashboard.css': () => own('dashboard.css'),
  'dashboard.js': () => own('dashboard.js'),
  'icon.svg': () => own('icon.svg'),
  'uplot.css': () => require.resolve('uplot/dist/uPlot.min.css'),
  'uplot.js': () => require.resolve('uplot/dist/uPlot.iife.min.js'),
}

const sendAsset: RequestHandler<{ file: string }> = (request, response, next) => {
  const { file } = request.params
  const path = Object.hasOwn(ASSETS, file) ? ASSETS[file]?.() : undefined
  if (path === undefined) return next()
  response.set('Cache-Control', 'private, max-age=300')
  // Whoever has gone away meanwhile is no trouble.
  response.sendFile(path, (error) => error && !request.socket.destroyed && next(error))
}

function answerTrouble(logger: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    // Whoever is not let in gets no page, of whatever kind.
    if (response.headersSent || !hasBasePath(response)) return next(error)
    if (error instanceof DatabaseError && error.isRefusal) {
      logger.warn('Dashboard: the database refused a question', errorFields(error))
      return sendErrorPage(request, response, { status: 400, title: 'This cannot be looked for', text: '' })
    }
    if (error instanceof DatabaseError || error instanceof SchemaError) {
      logger.warn('Dashboard: the database failed', errorFields(error))
      return sendErrorPage(request, response, { status: 503, ...AWAY })
    }
    const status = error instanceof Error && 'status' in error ? Number(error.status) : 500
    if (status >= 400 && status < 500) {
      return sendErrorPage(request, response, { status, title: 'This request cannot be read', text: '' })
    }
    logger.error('Dashboard: a page failed', errorFields(error))
    sendErrorPage(request, response, { status: 500, title: 'Something is wrong', text: 'The log says more.' })
  }
}

const AWAY = {
  title: 'The database is away',
  text: 'Or its schema is not up to date. A page comes back by itself; what was asked for may be done or not: look at the message before asking again.',
  refreshSeconds: 5,
}
