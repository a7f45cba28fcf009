// POST /twilio/status: reads the form, verifies the signature, parses, records and answers. Where possible, an invalid
// request is refused before its signature is computed. The callback's effect on its message is decided elsewhere.
import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from 'express'
import { recordCallback } from '../messages/record-callbacks.ts'
import type { LazyRecording, Runtime } from '../processes/runtime.ts'
import { retryOnDatabaseError } from '../recording/record-events.ts'
import { DatabaseError, OverloadedError, SchemaError } from '../shared/errors.ts'
import { errorFields } from '../shared/log.ts'
import { parseStatusCallback, STATUS_CALLBACK_PATH, type StatusCallback } from '../twilio/status-callback.ts'
import {
  CALLBACK_RESULT_HEADER,
  type CallbackResultCode,
  REFUSAL_STATUS,
  type Refusal,
} from './callback-result.ts'
import { ForgeryLimit } from './forgery-limit.ts'

const FORM = 'application/x-www-form-urlencoded'
const OTHER_CHARSET = /charset=(?!"?(utf-8)?"?\s*(;|$))/i
/** Far more than a genuine callback has. */
const MAX_BODY_BYTES = 16_384
const MAX_FIELDS = 100

/**
 * These retries cover a short outage of the database and a lost answer to a commit. After them, the answer is 503, and
 * Twilio sends the callback again up to five times. Each request takes up to 2.5 s, so Twilio's retries span its limit
 * of 15 s.
 */
const RETRY_AFTER_MS = [500, 1_500]
const RETRY_WITHIN_MS = 2_500

type Fields = Record<string, string | string[]>

/** Responds 204 once the callback is committed. */
export function statusCallbackRoute(runtime: Runtime, recording: LazyRecording): Router {
  const router = Router({ caseSensitive: true, strict: true })
  const forgeryLimit = new ForgeryLimit(runtime.config.twilio.authTokens, runtime.logger)
  const record = (callback: StatusCallback): Promise<void> =>
    retryOnDatabaseError(async () => recordCallback(await recording.get(), callback), RETRY_AFTER_MS, {
      withinMs: RETRY_WITHIN_MS,
    })
  router.post(STATUS_CALLBACK_PATH, requireForm(runtime), readForm(runtime), async (request, response) => {
    const fields = await verifiedFields(runtime, forgeryLimit, request, response)
    if (fields !== null) await recordAndAnswer(runtime, record, fields, request, response)
  })
  router.all(STATUS_CALLBACK_PATH, (_request, response) => {
    response.set('Allow', 'POST').status(405).end()
  })
  router.use(STATUS_CALLBACK_PATH, answerErrors(runtime))
  return router
}

function requireForm(runtime: Runtime): RequestHandler {
  return (request, response, next) => {
    if (!request.is(FORM)) refuse(runtime, response, 'wrong_type', `Content-Type must be ${FORM}`)
    else if (OTHER_CHARSET.test(request.get('Content-Type') ?? ''))
      refuse(runtime, response, 'wrong_type', 'The charset must be UTF-8')
    else next()
  }
}

/** Parses the form into `request.body`, at half the cost of express.urlencoded. */
function readForm(runtime: Runtime): RequestHandler {
  // requireForm has checked the type.
  const readBytes = express.raw({ type: () => true, limit: MAX_BODY_BYTES })
  return (request, response, next) => {
    const before: unknown = request.body
    readBytes(request, response, (error: unknown) => {
      if (error !== undefined) return next(error)
      // The body is unchanged if the request has none, or if another body parser has read it.
      if (request.body !== before) {
        const form = new URLSearchParams((request.body as Buffer).toString())
        if (form.size > MAX_FIELDS) return refuse(runtime, response, 'too_large', 'Too large')
        request.body = toFields(form)
      } else if (hasNestedFields(before)) {
        return refuse(runtime, response, 'unreadable', 'A field is not a string')
      }
      next()
    })
  }
}

/** A field that occurs more than once becomes a list. */
function toFields(form: URLSearchParams): Fields {
  // Without a prototype, names such as __proto__ are ordinary names.
  const fields = Object.create(null) as Fields
  for (const [name, value] of form) {
    const before = fields[name]
    fields[name] = before === undefined ? value : [before, value].flat()
  }
  return fields
}

/** Some body parsers turn names with brackets into objects. */
function hasNestedFields(body: unknown): boolean {
  return Object.values(body ?? {})
    .flat()
    .some((value) => typeof value === 'object')
}

/** @returns null if the request was refused */
async function verifiedFields(
  runtime: Runtime,
  forgeryLimit: ForgeryLimit,
  request: Request,
  response: Response,
): Promise<Fields | null> {
  if (typeof request.body === 'string' || Buffer.isBuffer(request.body)) {
    runtime.logger.error(
      'Status callback refused: another body parser has read the form; mount the router before it',
    )
    refuse(runtime, response, 'body_already_read', 'The signature cannot be checked')
    return null
  }
  const fields = (request.body ?? {}) as Fields
  const verdict = await forgeryLimit.judge(
    request.socket.remoteAddress,
    request.get('X-Twilio-Signature'),
    runtime.config.publicBaseUrl + pathAndQuery(request),
    fields,
  )
  if (verdict.kind === 'genuine') return fields
  if (verdict.kind === 'over_limit') response.set('Retry-After', `${verdict.retryAfterSeconds}`)
  const status = verdict.kind === 'over_limit' ? 429 : REFUSAL_STATUS.bad_signature
  refuse(runtime, response, 'bad_signature', 'The signature is missing or wrong', status)
  return null
}

/**
 * The path below the mount point, with the query. The origin of an absolute request target (RFC 9112, 3.2.2) is
 * dropped. The client chooses it, as it chooses Host and X-Forwarded-Host, so it does not show which URL Twilio called.
 */
function pathAndQuery({ url }: Request): string {
  return url.replace(/^https?:\/\/[^/?#]*/i, '')
}

async function recordAndAnswer(
  runtime: Runtime,
  record: (callback: StatusCallback) => Promise<void>,
  fields: Fields,
  request: Request,
  response: Response,
): Promise<void> {
  const { config, logger, metrics } = runtime
  const target = pathAndQuery(request)
  const query = target.indexOf('?')
  const callback = parseStatusCallback(query === -1 ? '' : target.slice(query), fields)
  if ('unreadable' in callback) {
    logger.warn('Status callback refused: it cannot be parsed', { why: callback.unreadable })
    return refuse(runtime, response, 'unreadable', callback.unreadable)
  }
  if (callback.accountSid !== config.twilio.accountSid) {
    logger.warn('Status callback refused: it belongs to another account', { accountSid: callback.accountSid })
    return refuse(runtime, response, 'other_account', 'The callback belongs to another account')
  }
  if ('unknownStatus' in callback) {
    // Twilio has added a status. The answer is still 204: Twilio logs any other answer as an error of the endpoint.
    const { unknownStatus: status, sid } = callback
    logger.warn('Status callback ignored: this version does not know the status', { status, sid })
    metrics.callbacks.unknown_status.inc()
  } else {
    await record(callback)
  }
  answerWith(response, 204, 'accepted').end()
}

/** Maps every error to an HTTP answer. */
function answerErrors(runtime: Runtime): ErrorRequestHandler {
  const { logger } = runtime
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error)
    if (error instanceof DatabaseError || error instanceof SchemaError) {
      logger.error('Status callback not recorded: the database failed', errorFields(error))
      return refuse(runtime, response, 'not_recorded', 'Not recorded; send it again')
    }
    if (error instanceof OverloadedError) {
      logger.warn('Status callback not recorded: too many are waiting', { why: error.message })
      return refuse(runtime, response, 'overloaded', 'Not recorded; send it again')
    }
    const status = error instanceof Error && 'status' in error ? error.status : undefined
    // express.raw throws these: body too large, unsupported encoding, aborted request, malformed body.
    if (status === 413) return refuse(runtime, response, 'too_large', 'Too large')
    if (status === 415) return refuse(runtime, response, 'wrong_type', 'Unsupported encoding')
    if (typeof status === 'number' && status >= 400 && status < 500)
      return refuse(runtime, response, 'unreadable', 'The body cannot be read')
    logger.error('Status callback failed', errorFields(error))
    return refuse(runtime, response, 'failed', 'Internal error')
  }
}

function refuse(
  { metrics }: Runtime,
  response: Response,
  refusal: Refusal,
  why: string,
  status: number = REFUSAL_STATUS[refusal],
): void {
  metrics.callbacks[refusal === 'body_already_read' ? 'bad_signature' : refusal].inc()
  answerWith(response, status, refusal).type('text/plain').send(`${why}\n`)
}

function answerWith(response: Response, status: number, result: CallbackResultCode): Response {
  return response.status(status).set(CALLBACK_RESULT_HEADER, result)
}
