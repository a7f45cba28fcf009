// POST /twilio/status, independent of a web framework: verifies the signature of a request, parses it, records it and says
// what to answer. Where possible, an invalid request is refused before its signature is computed. The callback's effect on
// its message is decided elsewhere; reading the request and writing the answer belong to the adapters beside this file.
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
import { type Form, type FormBody, readForm } from './read-form.ts'
import { RefusedCallbacks } from './refused-callbacks.ts'

/**
 * These retries cover a short outage of the database and a lost answer to a commit. After them, the answer is 503, and
 * Twilio sends the callback again up to five times. Each request takes up to 2.5 s, so Twilio's retries span its limit
 * of 15 s.
 */
const RETRY_AFTER_MS = [500, 1_500]
const RETRY_WITHIN_MS = 2_500

/** A request that the router of a framework has recognised as a status callback. */
export interface CallbackRequest extends FormBody {
  readonly method: string
  /** The query as sent, with its question mark; empty if there is none. */
  readonly search: string
  /** For the log; undefined where the framework does not reveal it. */
  readonly address: string | undefined
}

export interface CallbackAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Never rejects: each error has an answer. 204 means that the callback is committed. */
export type AnswerCallback = (request: CallbackRequest) => Promise<CallbackAnswer>

interface Refused {
  readonly refusal: Refusal
  readonly why: string
  /** Only for a flood of forged callbacks. */
  readonly retryAfterSeconds?: number
}

export function statusCallbackEndpoint(runtime: Runtime, recording: LazyRecording): AnswerCallback {
  const forgeryLimit = new ForgeryLimit(runtime.config.twilio.authTokens, runtime.logger)
  const refusedCallbacks = new RefusedCallbacks(runtime)
  const record = (callback: StatusCallback): Promise<void> =>
    retryOnDatabaseError(async () => recordCallback(await recording.get(), callback), RETRY_AFTER_MS, {
      withinMs: RETRY_WITHIN_MS,
    })
  return timed(runtime, async (request) => {
    if (request.method !== 'POST') return { status: 405, headers: { Allow: 'POST' }, body: '' }
    try {
      const refused = await takeCallback(runtime, forgeryLimit, record, request)
      if (refused === null) return { status: 204, headers: resultHeader('accepted'), body: '' }
      refusedCallbacks.add(refused.refusal, request.search)
      return refuse(runtime, refused)
    } catch (error) {
      return refuse(runtime, refusalOf(runtime, error))
    }
  })
}

/** Measures how long Twilio waits. */
function timed({ metrics }: Runtime, answer: AnswerCallback): AnswerCallback {
  return async (request) => {
    const startedMs = performance.now()
    const answered = await answer(request)
    metrics.callbackAnswered(performance.now() - startedMs)
    return answered
  }
}

/** @returns null once the callback is committed, or if there is nothing to record */
async function takeCallback(
  runtime: Runtime,
  forgeryLimit: ForgeryLimit,
  record: (callback: StatusCallback) => Promise<void>,
  request: CallbackRequest,
): Promise<Refused | null> {
  const form = await readForm(request)
  if ('refusal' in form) {
    if (form.refusal === 'body_already_read')
      runtime.logger.error(
        'Status callback refused: another body parser has read the form; mount the router before it',
      )
    return form
  }
  return (
    (await verify(runtime, forgeryLimit, request, form)) ??
    (await parseAndRecord(runtime, record, request, form))
  )
}

/**
 * The URL is the one that Twilio was given. Neither the path of the request nor Host and X-Forwarded headers take part:
 * proxies and frameworks change them, and the client chooses them.
 */
async function verify(
  { config }: Runtime,
  forgeryLimit: ForgeryLimit,
  { address, header, search }: CallbackRequest,
  { fields }: Form,
): Promise<Refused | null> {
  const url = config.publicBaseUrl + STATUS_CALLBACK_PATH + search
  const verdict = await forgeryLimit.judge(address, header('x-twilio-signature'), url, fields)
  if (verdict.kind === 'genuine') return null
  const refused: Refused = { refusal: 'bad_signature', why: 'The signature is missing or wrong' }
  return verdict.kind === 'over_limit'
    ? { ...refused, retryAfterSeconds: verdict.retryAfterSeconds }
    : refused
}

async function parseAndRecord(
  { config, logger, metrics }: Runtime,
  record: (callback: StatusCallback) => Promise<void>,
  { search }: CallbackRequest,
  { fields }: Form,
): Promise<Refused | null> {
  const callback = parseStatusCallback(search, fields)
  if ('unreadable' in callback) {
    logger.warn('Status callback refused: it cannot be parsed', { why: callback.unreadable })
    return { refusal: 'unreadable', why: callback.unreadable }
  }
  if (callback.accountSid !== config.twilio.accountSid) {
    logger.warn('Status callback refused: it belongs to another account', { accountSid: callback.accountSid })
    return { refusal: 'other_account', why: 'The callback belongs to another account' }
  }
  metrics.activity.callback()
  if ('unknownStatus' in callback) {
    // Twilio has added a status. The answer is still 204: Twilio logs any other answer as an error of the endpoint.
    const { unknownStatus: status, sid } = callback
    logger.warn('Status callback ignored: this version does not know the status', { status, sid })
    metrics.callbacks.unknown_status.inc()
  } else {
    await record(callback)
  }
  return null
}

function refusalOf({ logger }: Runtime, error: unknown): Refused {
  if (error instanceof DatabaseError || error instanceof SchemaError) {
    logger.error('Status callback not recorded: the database failed', errorFields(error))
    return { refusal: 'not_recorded', why: 'Not recorded; send it again' }
  }
  if (error instanceof OverloadedError) {
    logger.warn('Status callback not recorded: too many are waiting', { why: error.message })
    return { refusal: 'overloaded', why: 'Not recorded; send it again' }
  }
  logger.error('Status callback failed', errorFields(error))
  return { refusal: 'failed', why: 'Internal error' }
}

function refuse({ metrics }: Runtime, { refusal, why, retryAfterSeconds }: Refused): CallbackAnswer {
  metrics.callbacks[refusal === 'body_already_read' ? 'bad_signature' : refusal].inc()
  const headers = { ...resultHeader(refusal), 'Content-Type': 'text/plain; charset=utf-8' }
  const body = `${why}\n`
  return retryAfterSeconds === undefined
    ? { status: REFUSAL_STATUS[refusal], headers, body }
    : { status: 429, headers: { ...headers, 'Retry-After': `${retryAfterSeconds}` }, body }
}

function resultHeader(result: CallbackResultCode): Record<string, string> {
  return { [CALLBACK_RESULT_HEADER]: result }
}
