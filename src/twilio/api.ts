// The way to Twilio's API through its package, with answers that are seen whole.
import type { TwilioConfig } from '../config/config.ts'
import {
  createHttpClient,
  type HttpRequest,
  type HttpResponse,
  loadUndici,
  RequestError,
  readCertificates,
} from './http-client.ts'
import { type ErrorBody, parseErrorBody } from './parse-body.ts'

/** Twilio answered, and not with 2xx. Carries the headers, which the package's own RestException drops. */
export class Refusal extends Error {
  readonly response: HttpResponse
  /** Twilio's own error; null if something else answered. */
  readonly error: ErrorBody | null
  constructor(response: HttpResponse) {
    super(`HTTP ${response.statusCode}`)
    this.response = response
    this.error = parseErrorBody(response.body)
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

/** Both reject with Refusal or RequestError, or with what the answer's parser threw. */
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
  await Promise.all([packageOnce(), loadUndici()])
}

/** @throws ConfigError if TWILIO_CA_BUNDLE cannot be read */
export async function loadApi(
  config: TwilioConfig,
  certificates = readCertificates(config),
): Promise<TwilioApi> {
  const [twilio, http] = await Promise.all([
    packageOnce(),
    createHttpClient(certificates, config.concurrency),
  ])
  const httpClient = {
    async request(options: HttpRequest) {
      const response = await http.request(options)
      if (response.statusCode < 200 || response.statusCode > 299) throw new Refusal(response)
      return response
    },
  }
  const { accountSid, apiKey, authTokens, apiBaseUrl } = config
  const client = twilio(apiKey?.sid ?? accountSid, apiKey?.secret ?? authTokens[0], {
    accountSid,
    // The package asks for its own class, and uses this method of it alone.
    httpClient: httpClient as unknown as InstanceType<typeof twilio.RequestClient>,
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

/** Why there is no answer that can be used, in words for a person; names no secret. */
export function describeFailure(error: unknown): string {
  return error instanceof Refusal || error instanceof RequestError
    ? error.message
    : 'the answer cannot be read'
}
