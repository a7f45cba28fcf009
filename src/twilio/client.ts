// Hands one attempt to Twilio's API and says which of four things became of it: accepted, rejected, not
// processed, or unknown. Nothing is tried again here.
import type { TwilioConfig } from '../config.ts'
import type { Submission } from '../delivery/decision.ts'
import type { Answer } from '../delivery/message.ts'
import { isTwilioStatus } from '../delivery/status.ts'
import { statusCallbackUrl } from './status-callback.ts'
import { cleanText, SID } from './wire.ts'

/** A request that takes longer is given up; Twilio may still accept it, so its outcome is unknown. */
export const REQUEST_TIMEOUT_MS = 10_000

/** Requests beyond this wait for a connection, and their time-out runs meanwhile. */
export const MOST_REQUESTS_AT_ONCE = 50

/** Twilio keeps a message in its queue for 10 hours at most. Source: Message resource, `ValidityPeriod`. */
const LONGEST_VALIDITY_SECONDS = 36_000

export interface TwilioClient {
  /** Never rejects. */
  submit(submission: Submission): Promise<{ answer: Answer; processingTimeMs: number }>
}

interface HttpResponse {
  readonly statusCode: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, unknown>>
}

export function createTwilioClient(config: TwilioConfig, publicBaseUrl: string): TwilioClient {
  // Loaded on first use: the package costs 60 ms and 11 MB, which a process that never sends need not pay.
  let loaded: Promise<Api> | undefined
  return {
    async submit(submission) {
      loaded ??= loadApi(config)
      const api = await loaded
      const startedMs = performance.now()
      const request = api.create(parametersOf(submission, config, publicBaseUrl))
      const answer = await withinTime(request.then(classifyResponse, classifyFailure))
      return { answer, processingTimeMs: Math.round(performance.now() - startedMs) }
    },
  }
}

interface Api {
  create(parameters: CreateParameters): Promise<CreatedMessage>
}

/** The package types these fields, but passes on whatever JSON came. */
interface CreatedMessage {
  readonly sid: unknown
  readonly status: unknown
  readonly errorCode: unknown
  readonly errorMessage: unknown
}

interface CreateParameters {
  readonly to: string
  readonly body: string
  readonly statusCallback: string
  readonly attempt: number
  readonly from?: string
  readonly messagingServiceSid?: string
  readonly validityPeriod?: number
}

/** Twilio answered, and not with 2xx. Carries the headers, which the package's own RestException drops. */
class Refusal extends Error {
  readonly response: HttpResponse
  constructor(response: HttpResponse) {
    super(`HTTP ${response.statusCode}`)
    this.response = response
  }
}

async function loadApi(config: TwilioConfig): Promise<Api> {
  const { default: twilio } = await import('twilio')
  // Without its autoRetry: trying again is our business, the package would do so without the row knowing.
  const http = new twilio.RequestClient({ timeout: REQUEST_TIMEOUT_MS, maxSockets: MOST_REQUESTS_AT_ONCE })
  const httpClient = {
    async request(options: Parameters<typeof http.request>[0]) {
      const response = await http.request(options)
      if (response.statusCode < 200 || response.statusCode > 299) throw new Refusal(response)
      return response
    },
  }
  const { accountSid, apiKey, authTokens, apiBaseUrl } = config
  const client = twilio(apiKey?.sid ?? accountSid, apiKey?.secret ?? authTokens[0], {
    accountSid,
    httpClient: httpClient as typeof http,
  })
  if (apiBaseUrl !== null) client.api.baseUrl = apiBaseUrl
  return { create: (parameters) => client.messages.create(parameters) }
}

function parametersOf(submission: Submission, config: TwilioConfig, publicBaseUrl: string): CreateParameters {
  const { messageId, attempt, to, body, validitySeconds } = submission
  return {
    to,
    body,
    // With both, Twilio uses this number of the service.
    ...(config.messagingServiceSid === null ? {} : { messagingServiceSid: config.messagingServiceSid }),
    ...(config.fromNumber === null ? {} : { from: config.fromNumber }),
    statusCallback: statusCallbackUrl(publicBaseUrl, messageId, attempt),
    attempt: attempt + 1,
    ...(validitySeconds === null
      ? {}
      : { validityPeriod: Math.min(validitySeconds, LONGEST_VALIDITY_SECONDS) }),
  }
}

/** A limit on the whole request: the package's own time-out starts anew with every byte that arrives. */
async function withinTime(answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Answer>((resolve) => {
    const reason = `no answer within ${REQUEST_TIMEOUT_MS / 1000} s`
    timer = setTimeout(resolve, REQUEST_TIMEOUT_MS, { outcome: 'unknown', reason })
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
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
  }
}

const TOO_MANY_REQUESTS = 20429
const AUTHENTICATION_FAILED = 20003
/** The connection was never made, so Twilio cannot have seen the request. */
const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])

function classifyFailure(error: unknown): Answer {
  if (error instanceof Refusal) return classifyRefusal(error.response)
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (NOT_CONNECTED.has(code))
    return { outcome: 'not_processed', reason: `no connection (${code})`, retryAfterSeconds: null }
  // A time-out or a reset, but also a 2xx that cannot be read (SyntaxError): Twilio may have the message.
  return {
    outcome: 'unknown',
    reason: code || (error instanceof Error ? error.name : 'an error without a name'),
  }
}

function classifyRefusal({ statusCode, body, headers }: HttpResponse): Answer {
  const { code, message } = parseErrorBody(body)
  if (statusCode === 429 || code === TOO_MANY_REQUESTS) {
    return {
      outcome: 'not_processed',
      reason: 'too many requests',
      retryAfterSeconds: parseRetryAfter(headers['retry-after']),
    }
  }
  // 408 comes from something in front of Twilio that has waited for long enough: nobody knows for what.
  if (statusCode < 400 || statusCode >= 500 || statusCode === 408) {
    return { outcome: 'unknown', reason: `HTTP ${statusCode}` }
  }
  return {
    outcome: 'rejected',
    errorCode: code ?? (statusCode === 401 ? AUTHENTICATION_FAILED : null),
    errorText: cleanText(message) ?? `HTTP ${statusCode}`,
  }
}

function parseErrorBody(body: unknown): { code: number | null; message: unknown } {
  let parsed = body
  if (typeof body === 'string') {
    try {
      parsed = JSON.parse(body)
    } catch {
      // HTML of a proxy, or nothing at all: the HTTP status has to do.
      parsed = null
    }
  }
  if (parsed === null || typeof parsed !== 'object') return { code: null, message: null }
  const { code, message } = parsed as { code?: unknown; message?: unknown }
  return { code: Number.isInteger(code) ? (code as number) : null, message }
}

/** Seconds from either form of the header (RFC 9110, 10.2.3); null if there is none. */
function parseRetryAfter(header: unknown): number | null {
  if (typeof header !== 'string' || header === '') return null
  if (/^\d+$/.test(header)) return Number(header)
  const seconds = (Date.parse(header) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null
}
