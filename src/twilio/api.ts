// Calls Twilio's API with the twilio package, and keeps the whole answer, headers included.
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

/** An answer other than 2xx. Has the headers, which the package's own RestException drops. */
export class Refusal extends Error {
  readonly response: HttpResponse
  /** Twilio's own error; null if something in between answered. */
  readonly error: ErrorBody | null
  constructor(response: HttpResponse) {
    super(`HTTP ${response.statusCode}`)
    this.response = response
    this.error = parseErrorBody(response.body)
  }
}

/** The package declares types for these fields, but does not check them. */
export interface CreatedMessage {
  readonly sid: unknown
  readonly status: unknown
  readonly errorCode: unknown
  readonly errorMessage: unknown
  readonly numSegments: unknown
  readonly price: unknown
  readonly priceUnit: unknown
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

/** Both methods reject with a Refusal or RequestError, or with an error of the JSON parser. */
export interface TwilioApi {
  create(parameters: CreateParameters): Promise<CreatedMessage>
  /** @param path below the account, such as `/Messages.json`, or a `next_page_uri` of an answer */
  get(path: string, parameters?: Readonly<Record<string, string>>): Promise<HttpResponse>
}

const importPackage = async () => (await import('twilio')).default

let twilioPackage: ReturnType<typeof importPackage> | undefined

/** Loads the package once for all clients of the process. */
function packageOnce(): ReturnType<typeof importPackage> {
  twilioPackage ??= importPackage()
  return twilioPackage
}

/** Returns nothing, to keep the type of the package out of our declarations. */
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
    // The package requires its own class, but uses only this method.
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

/** Why there is no usable answer, for a person. Contains no secret. */
export function describeFailure(error: unknown): string {
  return error instanceof Refusal || error instanceof RequestError
    ? error.message
    : 'the answer cannot be read'
}
