// Posts a status callback to PUBLIC_BASE_URL, and explains answers that do not come from our endpoint.
import {
  CALLBACK_RESULT_HEADER,
  type CallbackResultCode,
  isCallbackResultCode,
} from '../http/callback-result.ts'
import { failed, type Finding } from './finding.ts'

export type EndpointAnswer =
  | {
      readonly kind: 'answered'
      readonly status: number
      /** The code that our endpoint puts into a header; null if something else answered. */
      readonly result: CallbackResultCode | null
      readonly isHtml: boolean
      /** The target of a redirect, without its query. */
      readonly location: string | null
    }
  | { readonly kind: 'timed_out' }
  | {
      readonly kind: 'unreachable'
      /** Node's error code, such as ECONNREFUSED. */
      readonly code: string | null
      readonly reason: string
    }

/** @param signature null posts an unsigned callback */
export async function postCallback(
  url: string,
  fields: Readonly<Record<string, string>>,
  signature: string | null,
  timeoutMs: number,
): Promise<EndpointAnswer> {
  try {
    const target = new URL(url)
    const headers = new Headers(signature === null ? {} : { 'X-Twilio-Signature': signature })
    if (target.username !== '') {
      // Twilio also sends the credentials of a URL as basic authentication.
      const credentials = decodeURIComponent(`${target.username}:${target.password}`)
      headers.set('Authorization', `Basic ${Buffer.from(credentials).toString('base64')}`)
      target.username = ''
      target.password = ''
    }
    const response = await fetch(target.href, {
      method: 'POST',
      headers,
      body: new URLSearchParams(fields),
      // The signature covers the URL, so it would be invalid after a redirect.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    // Headers are enough, and an unknown server's body may be endless.
    await response.body?.cancel()
    const location = response.headers.get('Location')
    return {
      kind: 'answered',
      status: response.status,
      result: readResult(response.headers.get(CALLBACK_RESULT_HEADER)),
      isHtml: response.headers.get('Content-Type')?.includes('html') === true,
      location: location === null ? null : withoutQuery(location, target),
    }
  } catch (error) {
    return failureOf(error as Error)
  }
}

function readResult(header: string | null): CallbackResultCode | null {
  return isCallbackResultCode(header) ? header : null
}

function withoutQuery(location: string, base: URL): string {
  if (!URL.canParse(location, base.href)) return 'an invalid address'
  const { origin, pathname } = new URL(location, base)
  return origin + pathname
}

/** fetch wraps network and TLS errors: the original error is the cause. */
function failureOf({ name, message, cause }: Error): EndpointAnswer {
  if (name === 'TimeoutError') return { kind: 'timed_out' }
  const { code, message: reason = message } = (cause ?? {}) as { code?: unknown; message?: string }
  return { kind: 'unreachable', code: typeof code === 'string' ? code : null, reason }
}

export function explainAnswer(answer: EndpointAnswer): Finding {
  if (answer.kind === 'timed_out') {
    return failed(
      'PUBLIC_BASE_URL does not answer in time',
      'Check host and port in PUBLIC_BASE_URL, firewalls, and the log of sms-retry web. Twilio waits at most 15 seconds.',
    )
  }
  if (answer.kind === 'unreachable') return explainUnreachable(answer)
  const { status, isHtml, location } = answer
  const answers = `PUBLIC_BASE_URL answers ${status}`
  if (location !== null) {
    return failed(
      `PUBLIC_BASE_URL redirects to ${location}, where Twilio's signature is invalid`,
      'Set PUBLIC_BASE_URL of all processes to the final address (check https and www).',
    )
  }
  if (status === 401 || status === 407 || (status < 300 && isHtml)) {
    return failed(
      `${answers}${isHtml ? ' with a page' : ''}: a proxy in front of the endpoint requires a login`,
      'Exempt /twilio/status from the login. The endpoint verifies Twilio signatures itself.',
    )
  }
  if (status < 300) {
    return failed(
      `${answers} to an unsigned callback: this is not the endpoint of sms-retry`,
      'Set PUBLIC_BASE_URL to the address of sms-retry web, including the path prefix where it is mounted.',
    )
  }
  const [, what, fix] = EXPLANATIONS.find(([statuses]) => statuses.includes(status)) ?? [
    [],
    null,
    FIX_OTHERWISE,
  ]
  return failed(what === null ? answers : `${answers}: ${what}`, fix)
}

const FIX_OTHERWISE = 'Check the logs of sms-retry web and of the proxy in front of it.'

const EXPLANATIONS: readonly (readonly [statuses: readonly number[], what: string, fix: string])[] = [
  [
    [404, 405, 410],
    'another app answers, or the path is wrong',
    'Set PUBLIC_BASE_URL to the address of sms-retry web, including the path prefix where it is mounted. A proxy must forward POST /twilio/status.',
  ],
  [
    [403],
    'a proxy in front of the endpoint rejects the request',
    'Allow POST /twilio/status in firewalls, access rules and bot protection.',
  ],
  [
    [400, 411, 413, 415],
    'a proxy changes the request or rejects forms',
    'Forward POST /twilio/status unchanged, including body and Content-Type.',
  ],
  [
    [429],
    'a proxy in front of the endpoint limits the request rate',
    'Exempt /twilio/status from the rate limit: callbacks arrive in bursts.',
  ],
  [
    [502, 503, 504],
    'the proxy does not reach the web process',
    'Start sms-retry web, and check the port to which the proxy forwards requests.',
  ],
]

function explainUnreachable({ code, reason }: Extract<EndpointAnswer, { kind: 'unreachable' }>): Finding {
  const [, fix] = FIXES.find(([pattern]) => code !== null && pattern.test(code)) ?? [null, FIX_OTHERWISE]
  return failed(`PUBLIC_BASE_URL cannot be reached: ${code ?? reason}`, fix)
}

const FIXES: readonly (readonly [code: RegExp, fix: string])[] = [
  [/^ECONNREFUSED$/, 'Start sms-retry web, or correct host and port in PUBLIC_BASE_URL.'],
  [
    /^(ENOTFOUND|EAI_AGAIN)$/,
    'The host name cannot be resolved. Correct the host in PUBLIC_BASE_URL, or its DNS record.',
  ],
  [
    /CERT|^SELF_SIGNED|^UNABLE_TO/,
    'Twilio does not trust this certificate. Install a certificate for this host name from a public certificate authority, ' +
      'with its intermediate certificates.',
  ],
  [
    /^(EPROTO|ERR_SSL)/,
    'The server does not use TLS on this port. Correct scheme and port in PUBLIC_BASE_URL.',
  ],
  [/TIMEOUT|^ETIMEDOUT$/, 'Check host and port in PUBLIC_BASE_URL, and firewalls.'],
  [
    /^(ECONNRESET|UND_ERR_SOCKET|EPIPE)$/,
    'The connection breaks. Check whether PUBLIC_BASE_URL uses https where the server expects http, or the reverse.',
  ],
]
