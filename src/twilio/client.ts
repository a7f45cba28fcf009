// Submits one attempt to Twilio's API and classifies the answer: accepted, rejected, not processed, or unknown. Nothing
// is retried here. lookup.ts looks up the status of an attempt.
import type { TwilioConfig } from '../config/config.ts'
import type { Submission } from '../delivery/decision.ts'
import { MAX_VALIDITY_SECONDS } from '../delivery/gate.ts'
import type { Answer, Identity } from '../delivery/message.ts'
import { isTwilioStatus } from '../delivery/status.ts'
import { type CreatedMessage, type CreateParameters, loadApi, Refusal, type TwilioApi } from './api.ts'
import { type HttpResponse, RequestError, readCertificates } from './http-client.ts'
import { type FetchAnswer, fetchMessage, type ListAnswer, listMessagesTo } from './lookup.ts'
import { statusCallbackUrl } from './status-callback.ts'
import { cleanText, SID } from './parse-body.ts'
import { readBilling } from './read-billing.ts'

/** Its promises never reject. */
export interface TwilioClient {
  readonly identity: Identity
  /** Loads the code of the twilio package. Call it before a claim: on a busy machine, loading can outlast the claim. */
  ready(): Promise<void>
  submit(submission: Submission): Promise<{ answer: Answer; processingTimeMs: number }>
  fetch(sid: string): Promise<FetchAnswer>
  list(to: string, maxAgeSeconds: number, signal?: AbortSignal): Promise<ListAnswer>
}

/** @throws ConfigError if TWILIO_CA_BUNDLE cannot be read */
export function createTwilioClient(config: TwilioConfig, publicBaseUrl: string): TwilioClient {
  // Loaded on first use, because the package costs 60 ms and 11 MB, and some processes never send.
  let loaded: Promise<TwilioApi> | undefined
  const certificates = readCertificates(config)
  const load = (): Promise<TwilioApi> => {
    loaded ??= loadApi(config, certificates)
    return loaded
  }
  const { accountSid: account, fromNumber, messagingServiceSid } = config
  return {
    identity: { account, sender: fromNumber ?? messagingServiceSid ?? '' },
    async ready() {
      await load()
    },
    async submit(submission) {
      const api = await load()
      const startedMs = performance.now()
      const request = api.create(parametersOf(submission, config, publicBaseUrl))
      const answer = await request.then(classifyResponse, classifyFailure)
      return { answer, processingTimeMs: Math.round(performance.now() - startedMs) }
    },
    fetch: async (sid) => fetchMessage(await load(), sid),
    list: async (to, maxAgeSeconds, signal) => listMessagesTo(await load(), to, maxAgeSeconds, signal),
  }
}

function parametersOf(submission: Submission, config: TwilioConfig, publicBaseUrl: string): CreateParameters {
  const { attempt, to, body, validitySeconds } = submission
  return {
    to,
    body,
    // If both are set, Twilio sends from this number of the Messaging Service.
    ...(config.messagingServiceSid === null ? {} : { messagingServiceSid: config.messagingServiceSid }),
    ...(config.fromNumber === null ? {} : { from: config.fromNumber }),
    statusCallback: statusCallbackUrl(publicBaseUrl, submission),
    attempt: attempt + 1,
    ...(validitySeconds === null ? {} : { validityPeriod: Math.min(validitySeconds, MAX_VALIDITY_SECONDS) }),
  }
}

function classifyResponse(message: CreatedMessage): Answer {
  const { sid, status } = message
  if (typeof sid !== 'string' || !SID.test(sid))
    return { outcome: 'unknown', reason: 'Twilio answered 2xx without a sid' }
  return {
    outcome: 'accepted',
    sid,
    status: typeof status === 'string' && isTwilioStatus(status) ? status : 'accepted',
    errorCode: typeof message.errorCode === 'number' ? message.errorCode : null,
    errorText: cleanText(message.errorMessage),
    billing: readBilling(message.numSegments, message.price, message.priceUnit),
  }
}

const TOO_MANY_REQUESTS = 20429

function classifyFailure(error: unknown): Answer {
  if (error instanceof Refusal) return classifyRefusal(error)
  if (error instanceof RequestError && !error.maybeSent)
    return { outcome: 'not_processed', reason: error.message, retryAfterSeconds: null }
  // A time-out, a reset, or a 2xx that cannot be parsed (SyntaxError): Twilio may have the message.
  return {
    outcome: 'unknown',
    reason:
      error instanceof RequestError
        ? error.message
        : error instanceof Error
          ? error.name
          : 'an unknown error',
  }
}

/** Twilio's error code outranks the HTTP status. An answer without a code is not a refusal by Twilio. */
function classifyRefusal({ response, error }: Refusal): Answer {
  const { statusCode, headers } = response
  const retryAfterSeconds = parseRetryAfter(headers)
  const isTooMany = error === null ? statusCode === 429 : error.code === TOO_MANY_REQUESTS
  if (isTooMany) return { outcome: 'not_processed', reason: 'too many requests', retryAfterSeconds }
  // A 408 comes from a proxy that timed out: Twilio may have the message.
  if (statusCode < 400 || statusCode >= 500 || statusCode === 408) {
    return { outcome: 'unknown', reason: `HTTP ${statusCode}` }
  }
  if (error === null) {
    const reason = `HTTP ${statusCode} without a Twilio error code`
    return { outcome: 'not_processed', reason, retryAfterSeconds }
  }
  return {
    outcome: 'rejected',
    errorCode: error.code,
    errorText: cleanText(error.message) ?? `HTTP ${statusCode}`,
  }
}

/** The seconds of the header, in either form (RFC 9110, 10.2.3); null if there is no header. */
function parseRetryAfter(headers: HttpResponse['headers']): number | null {
  const { 'retry-after': header, date } = headers
  if (typeof header !== 'string' || header === '') return null
  if (/^\d+$/.test(header)) return Number(header)
  // Relative to the server's clock, because ours may be wrong.
  const seconds = (Date.parse(header) - Date.parse(String(date))) / 1000
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null
}
