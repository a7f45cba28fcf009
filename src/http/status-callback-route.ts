// POST /twilio/status: verify, parse, record, answer. What is decided of a callback is not known here.
import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from 'express'
import { DatabaseError, OverloadedError, SchemaError } from '../shared/errors.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { parseStatusCallback, STATUS_CALLBACK_PATH, type StatusCallback } from '../twilio/status-callback.ts'
import { CALLBACK_RESULT_HEADER, type CallbackResultCode } from './callback-result.ts'
import { ForgeryLimit } from './forgery-limit.ts'

export interface StatusCallbackRouteDeps {
  readonly accountSid: string
  readonly authTokens: readonly string[]
  readonly publicBaseUrl: string
  readonly logger: Logger
  readonly metrics: Pick<Metrics, 'callbacks'>
  /** Resolves once the callback is committed; rejects with DatabaseError or OverloadedError if not, or if nobody can tell. */
  readonly record: (callback: StatusCallback) => Promise<void>
}

const FORM = 'application/x-www-form-urlencoded'
/** Many times what the fields of a callback come to. */
const MAX_BODY_BYTES = 16_384
const MAX_FIELDS = 100
const OTHER_CHARSET = /charset=(?!"?(utf-8)?"?\s*(;|$))/i

/** The route alone, for mounting into an app. Everything is refused before any cryptography that can be. */
export function statusCallbackRoute(deps: StatusCallbackRouteDeps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  const forgeryLimit = new ForgeryLimit(deps.authTokens, deps.logger)
  router.post(STATUS_CALLBACK_PATH, requireForm(deps), formReader(deps), (request, response) =>
    receive(deps, forgeryLimit, request, response),
  )
  router.all(STATUS_CALLBACK_PATH, (_request, response) => {
    response.set('Allow', 'POST').status(405).end()
  })
  router.use(STATUS_CALLBACK_PATH, answerErrors(deps))
  return router
}

function requireForm(deps: StatusCallbackRouteDeps): RequestHandler {
  return (request, response, next) => {
    if (!request.is(FORM)) refuse(deps, response, 'wrong_type', `Content-Type must be ${FORM}`)
    else if (OTHER_CHARSET.test(request.get('Content-Type') ?? ''))
      refuse(deps, response, 'wrong_type', 'The charset must be UTF-8')
    else next()
  }
}

/** Puts the fields of the form into `body`, as express.urlencoded does at twice the cost. */
function formReader(deps: StatusCallbackRouteDeps): RequestHandler {
  // The type has been looked at.
  const readBytes = express.raw({ type: () => true, limit: MAX_BODY_BYTES })
  return (request, response, next) => {
    const before: unknown = request.body
    readBytes(request, response, (error: unknown) => {
      if (error !== undefined) return next(error)
      // Otherwise there was nothing to be read, or another body parser has read it.
      if (request.body !== before) {
        const form = (request.body as Buffer).toString()
        // A plus that stands for itself is escaped, and so is still one afterwards.
        const pairs = form.replaceAll('+', ' ').split('&', MAX_FIELDS + 1)
        if (pairs.length > MAX_FIELDS) return refuse(deps, response, 'too_large', 'Too large')
        request.body = toFields(pairs)
      } else if (hasObjects(before)) {
        return refuse(deps, response, 'unreadable', 'A field is no text')
      }
      next()
    })
  }
}

/** Some body parsers make them of names with brackets. */
function hasObjects(body: unknown): boolean {
  return Object.values(body ?? {})
    .flat()
    .some((value) => typeof value === 'object')
}

/** A field that came more than once is a list. */
function toFields(pairs: readonly string[]): Fields {
  // Without a prototype no name is special.
  const fields = Object.create(null) as Fields
  for (const pair of pairs) {
    if (pair === '') continue
    const end = pair.indexOf('=')
    const name = unescapeText(end === -1 ? pair : pair.slice(0, end))
    const value = end === -1 ? '' : unescapeText(pair.slice(end + 1))
    const before = fields[name]
    fields[name] = before === undefined ? value : [before, value].flat()
  }
  return fields
}

/** What is not UTF-8 stays as it came: then that is what was signed. */
function unescapeText(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

type Fields = Record<string, string | string[]>

async function receive(
  deps: StatusCallbackRouteDeps,
  forgeryLimit: ForgeryLimit,
  request: Request,
  response: Response,
): Promise<void> {
  const { accountSid, publicBaseUrl, logger } = deps
  if (typeof request.body === 'string' || Buffer.isBuffer(request.body)) {
    logger.error('Status callback refused: another body parser has read the form; mount the router before it')
    return refuse(deps, response, 'body_already_read', 'The signature cannot be checked')
  }
  const fields = (request.body ?? {}) as Fields
  // Never from Host or X-Forwarded headers, which the sender chooses, nor from the origin of a request target
  // in absolute form (RFC 9112, 3.2.2). `url` is the path below the mount point.
  const target = request.url.replace(/^https?:\/\/[^/?#]*/i, '')
  const signature = request.get('X-Twilio-Signature')
  const judged = await forgeryLimit.judge(
    request.socket.remoteAddress,
    signature,
    publicBaseUrl + target,
    fields,
  )
  if (judged.verdict === 'forged') return refuseForged(deps, response, judged.retryAfterSeconds)
  const query = target.indexOf('?')
  const callback = parseStatusCallback(query === -1 ? '' : target.slice(query), fields)
  if ('unreadable' in callback) {
    logger.warn('Status callback refused: it cannot be read', { why: callback.unreadable })
    return refuse(deps, response, 'unreadable', callback.unreadable)
  }
  if (callback.accountSid !== accountSid) {
    logger.warn('Status callback refused: it is of another account', { accountSid: callback.accountSid })
    return refuse(deps, response, 'other_account', 'The callback is of another account')
  }
  if ('unknownStatus' in callback) {
    // Twilio has added a status. Another answer would make it report the callback as failed.
    const { unknownStatus: status, sid } = callback
    logger.warn('Status callback ignored: this version does not know its status', { status, sid })
    deps.metrics.callbacks.unknown_status.inc()
  } else {
    await deps.record(callback)
  }
  answerWith(response, 204, 'accepted').end()
}

function refuseForged(
  deps: StatusCallbackRouteDeps,
  response: Response,
  retryAfterSeconds: number | null,
): void {
  if (retryAfterSeconds !== null) response.set('Retry-After', `${retryAfterSeconds}`)
  const status = retryAfterSeconds === null ? REFUSALS.bad_signature : 429
  refuse(deps, response, 'bad_signature', 'The signature is missing or wrong', status)
}

/** The one place where errors become HTTP answers. */
function answerErrors(deps: StatusCallbackRouteDeps): ErrorRequestHandler {
  const { logger } = deps
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error)
    if (error instanceof DatabaseError || error instanceof SchemaError) {
      logger.error('Status callback not recorded: the database failed', errorFields(error))
      return refuse(deps, response, 'not_recorded', 'Not recorded; send it again')
    }
    if (error instanceof OverloadedError) {
      logger.warn('Status callback not recorded: too many at once', { why: error.message })
      return refuse(deps, response, 'overloaded', 'Not recorded; send it again')
    }
    const status = error instanceof Error && 'status' in error ? error.status : undefined
    // What express.raw throws: body too large, unsupported encoding, aborted, malformed.
    if (status === 413) return refuse(deps, response, 'too_large', 'Too large')
    if (status === 415) return refuse(deps, response, 'wrong_type', 'Unsupported encoding')
    if (typeof status === 'number' && status >= 400 && status < 500)
      return refuse(deps, response, 'unreadable', 'The body cannot be read')
    logger.error('Status callback failed', errorFields(error))
    return refuse(deps, response, 'failed', 'Internal error')
  }
}

type Refusal = Exclude<CallbackResultCode, 'accepted'>

const REFUSALS: Readonly<Record<Refusal, number>> = {
  body_already_read: 403,
  bad_signature: 403,
  other_account: 403,
  unreadable: 400,
  too_large: 413,
  wrong_type: 415,
  overloaded: 503,
  not_recorded: 503,
  failed: 500,
}

function refuse(
  { metrics }: StatusCallbackRouteDeps,
  response: Response,
  refusal: Refusal,
  why: string,
  status = REFUSALS[refusal],
): void {
  metrics.callbacks[refusal === 'body_already_read' ? 'bad_signature' : refusal].inc()
  answerWith(response, status, refusal).type('text/plain').send(`${why}\n`)
}

function answerWith(response: Response, status: number, result: CallbackResultCode): Response {
  return response.status(status).set(CALLBACK_RESULT_HEADER, result)
}
