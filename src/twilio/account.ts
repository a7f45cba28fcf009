// Checks the credentials at Twilio: reads the account, and one message. For `doctor`.
import type { TwilioConfig } from '../config/config.ts'
import { describeFailure, loadApi, Refusal } from './api.ts'
import { type HttpResponse, RequestError } from './http-client.ts'
import { parseJson } from './parse-body.ts'

export type AccountAnswer =
  | {
      readonly outcome: 'found'
      /** `active`, `suspended` or `closed`. */
      readonly status: string
      readonly isTrial: boolean
      /** The token that signs status callbacks, a secret; null if Twilio does not return it. */
      readonly primaryToken: string | null
    }
  | Refused
  | Unreachable

export interface Refused {
  readonly outcome: 'refused'
  readonly httpStatus: number
  readonly code: number | null
}

export interface Unreachable {
  readonly outcome: 'unreachable'
  readonly reason: string
  /** An error code of the system, of TLS or of http-client.ts; null if there was an answer. */
  readonly code: string | null
}

/** Uses the auth token: only a main API key may read the account. */
export async function fetchAccount(config: TwilioConfig): Promise<AccountAnswer> {
  const answer = await read({ ...config, apiKey: null }, '.json')
  if ('outcome' in answer) return answer
  const { status, type, auth_token: token } = parseJson(answer.body) ?? {}
  if (typeof status !== 'string')
    return { outcome: 'unreachable', reason: 'the answer cannot be read', code: null }
  return {
    outcome: 'found',
    status,
    isTrial: type === 'Trial',
    primaryToken: typeof token === 'string' && token !== '' ? token : null,
  }
}

/** Uses the API key, if there is one, because reconciling uses it as well. */
export async function readNewestMessage(
  config: TwilioConfig,
): Promise<{ readonly outcome: 'found' } | Refused | Unreachable> {
  const answer = await read(config, '/Messages.json', { PageSize: '1' })
  return 'outcome' in answer ? answer : { outcome: 'found' }
}

async function read(
  config: TwilioConfig,
  path: string,
  parameters?: Readonly<Record<string, string>>,
): Promise<HttpResponse | Refused | Unreachable> {
  const api = await loadApi(config)
  return api.get(path, parameters).catch((error: unknown): Refused | Unreachable => {
    if (error instanceof Refusal) {
      return { outcome: 'refused', httpStatus: error.response.statusCode, code: error.error?.code ?? null }
    }
    const code = error instanceof RequestError ? error.code : null
    return { outcome: 'unreachable', reason: describeFailure(error), code }
  })
}
