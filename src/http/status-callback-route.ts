// POST /twilio/status: verify, parse, record, answer. What is decided of a callback is not known here.
import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from 'express'
import { DatabaseError, OverloadedError, SchemaError } from '../errors.ts'
import { errorFields, type Logger } from '../log.ts'
import { isSignedByTwilio } from '../twilio/signature.ts'
import { parseStatusCallback, STATUS_CALLBACK_PATH, type StatusCallback } from '../twilio/status-callback.ts'

export interface StatusCallbackRouteDeps {
  readonly accountSid: string
  readonly authTokens: readonly string[]
  readonly publicBaseUrl: string
  readonly logger: Logger
  /** Resolves once the callback is committed; rejects with DatabaseError or OverloadedError if not, or if nobody can tell. */
  readonly record: (callback: StatusCallback) => Promise<void>
}

const FORM = 'application/x-www-form-urlencoded'
/** Many times what the fields of a callback come to. */
const LARGEST_BODY_BYTES = 16_384
const MOST_FIELDS = 100

/** The route alone, for mounting into an app. Everything is refused before any cryptography that can be. */
export function statusCallbackRoute(deps: StatusCallbackRouteDeps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  const parseForm = express.urlencoded({
    extended: false,
    limit: LARGEST_BODY_BYTES,
    parameterLimit: MOST_FIELDS,
  })
  router.post(STATUS_CALLBACK_PATH, requireForm, parseForm, (request, response) =>
    receive(deps, request, response),
  )
  router.all(STATUS_CALLBACK_PATH, (_request, response) => {
    response.set('Allow', 'POST').status(405).end()
  })
  router.use(STATUS_CALLBACK_PATH, answerErrors(deps.logger))
  return router
}

const requireForm: RequestHandler = (request, response, next) => {
  if (request.is(FORM)) next()
  else refuse(response, 415, `Content-Type must be ${FORM}`)
}

async function receive(deps: StatusCallbackRouteDeps, request: Request, response: Response): Promise<void> {
  const { accountSid, authTokens, publicBaseUrl, logger } = deps
  if (typeof request.body === 'string' || Buffer.isBuffer(request.body)) {
    logger.error('Status callback refused: another body parser has read the form; mount the router before it')
    return refuse(response, 403, 'The signature cannot be checked')
  }
  const fields = (request.body ?? {}) as Record<string, string | string[]>
  // Never from Host or X-Forwarded headers, which the sender chooses, nor from the origin of a request target
  // in absolute form (RFC 9112, 3.2.2). `url` is the path below the mount point.
  const target = request.url.replace(/^https?:\/\/[^/?#]*/i, '')
  const signedUrl = publicBaseUrl + target
  if (!isSignedByTwilio(authTokens, request.get('X-Twilio-Signature'), signedUrl, fields)) {
    logger.warn('Status callback refused: its signature is not that of the account', { hint: SIGNATURE_HINT })
    return refuse(response, 403, 'The signature is missing or wrong')
  }
  const query = target.indexOf('?')
  const callback = parseStatusCallback(query === -1 ? '' : target.slice(query), fields)
  if ('unreadable' in callback) {
    logger.warn('Status callback refused: it cannot be read', { why: callback.unreadable })
    return refuse(response, 400, callback.unreadable)
  }
  if (callback.accountSid !== accountSid) {
    logger.warn('Status callback refused: it is of another account', { accountSid: callback.accountSid })
    return refuse(response, 403, 'The callback is of another account')
  }
  await deps.record(callback)
  response.status(204).end()
}

const SIGNATURE_HINT =
  'Check that PUBLIC_BASE_URL is what Twilio calls, and that TWILIO_AUTH_TOKEN is the primary token'

/** The one place where errors become HTTP answers. */
function answerErrors(logger: Logger): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error)
    if (error instanceof DatabaseError || error instanceof SchemaError) {
      logger.error('Status callback not recorded: the database failed', errorFields(error))
      return refuse(response, 503, 'Not recorded; send it again')
    }
    if (error instanceof OverloadedError) {
      logger.warn('Status callback not recorded: too many at once', { why: error.message })
      return refuse(response, 503, 'Not recorded; send it again')
    }
    const status = error instanceof Error && 'status' in error ? error.status : undefined
    // What express.urlencoded throws: body too large, unsupported charset or encoding, aborted, malformed.
    if (status === 413 || status === 415)
      return refuse(response, status, status === 413 ? 'Too large' : 'Unsupported encoding')
    if (typeof status === 'number' && status >= 400 && status < 500)
      return refuse(response, 400, 'The body cannot be read')
    logger.error('Status callback failed', errorFields(error))
    return refuse(response, 500, 'Internal error')
  }
}

function refuse(response: Response, status: number, why: string): void {
  response.status(status).type('text/plain').send(`${why}\n`)
}
