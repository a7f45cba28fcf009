// The way to Twilio's API through its package, with answers that are seen whole and a limit on every request.
import type { TwilioConfig } from '../config.ts'
import { REQUEST_TIMEOUT_SECONDS } from '../delivery/reconcile-time.ts'
import { resetConnectionsOf } from './reset-connections.ts'

const REQUEST_TIMEOUT_MS = REQUEST_TIMEOUT_SECONDS * 1000
export const NO_ANSWER = `no answer within ${REQUEST_TIMEOUT_SECONDS} s`

export interface HttpResponse {
  readonly statusCode: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, unknown>>
}

/** Twilio answered, and not with 2xx. Carries the headers, which the package's own RestException drops. */
export class Refusal extends Error {
  readonly response: HttpResponse
  constructor(response: HttpResponse) {
    super(`HTTP ${response.statusCode}`)
    this.response = response
  }
}

/** The package types these fields, but passes on whatever JSON came. */
export interface CreatedMessage {
  readonly sid: unknown
  readonly status: unknown
  readonly errorCode: unknown
  readonly errorMessage: unknown
}

export interface CreateParameters {
  readonly to: string
  readonly body: string
  readonly statusCallback: string
  readonly attempt: number
  readonly from?: string
  readonly messagingServiceSid?: string
  readonly validityPeriod?: number
}

/** Both reject with Refusal, or with what the connection or the answer's parser threw. */
export interface TwilioApi {
  create(parameters: CreateParameters): Promise<CreatedMessage>
  /** @param path below the account, such as `/Messages.json`, or a link of an answer from its root */
  get(path: string, parameters?: Readonly<Record<string, string>>): Promise<HttpResponse>
}

const importPackage = async () => (await import('twilio')).default

let twilioPackage: ReturnType<typeof importPackage> | undefined

/** Once for all clients of the process. */
function packageOnce(): ReturnType<typeof importPackage> {
  twilioPackage ??= importPackage()
  return twilioPackage
}

/** Without its type, which would be in the types of this package. */
export async function loadPackage(): Promise<void> {
  await packageOnce()
}

export async function loadApi(config: TwilioConfig): Promise<TwilioApi> {
  const twilio = await packageOnce()
  // Without its autoRetry: trying again is our business, the package would do so without the row knowing.
  // Requests beyond their number wait for a connection, and their time-out runs meanwhile. All are kept alive while they
  // are idle, for as long as the time-out: a handshake costs more than the request.
  const http = new twilio.RequestClient({
    timeout: REQUEST_TIMEOUT_MS,
    maxSockets: config.concurrency,
    maxFreeSockets: config.concurrency,
    maxTotalSockets: config.concurrency,
  })
  resetConnectionsOf(http.axios.defaults.httpsAgent)
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
  const account = `/2010-04-01/Accounts/${accountSid}`
  return {
    create: (parameters) => client.messages.create(parameters),
    get(path, parameters) {
      const fromRoot = path.startsWith(account) ? path : account + path
      return client.request({ method: 'get', uri: client.api.baseUrl + fromRoot, params: { ...parameters } })
    },
  }
}

/** A limit on the whole request: the package's own time-out starts anew with every byte that arrives. */
export async function withinTime<T>(answer: Promise<T>, late: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<T>((resolve) => {
    timer = setTimeout(resolve, REQUEST_TIMEOUT_MS, late)
  })
  try {
    return await Promise.race([answer, limit])
  } finally {
    clearTimeout(timer)
  }
}
