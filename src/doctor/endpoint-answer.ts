// One POST to PUBLIC_BASE_URL, and what it means if something else than our endpoint answers, or nothing does.
import { failed, type Finding } from './finding.ts'

export type EndpointAnswer =
  | {
      readonly status: number
      readonly text: string
      readonly isHtml: boolean
      /** Of a redirect: origin and path alone. */
      readonly location: string | null
    }
  /** The code of the failure; `TIMEOUT` if nothing came in time. */
  | { readonly failure: string }

/** The words of our endpoint (http/status-callback-route.ts), by which it is told from others. */
export const REFUSALS = {
  signature: 'The signature is missing or wrong',
  account: 'The callback is of another account',
  notRecorded: 'Not recorded; send it again',
} as const

/** More than our endpoint ever says. */
const MAX_TEXT_LENGTH = 500

/** @param signature null for none */
export async function post(
  url: string,
  fields: Readonly<Record<string, string>>,
  signature: string | null,
  timeoutMs: number,
): Promise<EndpointAnswer> {
  try {
    const target = new URL(url)
    const headers = new Headers(signature === null ? {} : { 'X-Twilio-Signature': signature })
    if (target.username !== '') {
      // As Twilio does with credentials in a URL.
      const credentials = decodeURIComponent(`${target.username}:${target.password}`)
      headers.set('Authorization', `Basic ${Buffer.from(credentials).toString('base64')}`)
      target.username = ''
      target.password = ''
    }
    const response = await fetch(target.href, {
      method: 'POST',
      headers,
      body: new URLSearchParams(fields),
      // Whoever follows one arrives with the signature of another address.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    const location = response.headers.get('Location')
    return {
      status: response.status,
      text: await beginningOf(response),
      isHtml: response.headers.get('Content-Type')?.includes('html') === true,
      location: location === null ? null : withoutQuery(location, target),
    }
  } catch (error) {
    return { failure: codeOf(error) }
  }
}

/** Whatever stands there may have no end. */
async function beginningOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MAX_TEXT_LENGTH) break
  }
  return text
}

function withoutQuery(location: string, base: URL): string {
  if (!URL.canParse(location, base.href)) return 'an address that cannot be read'
  const { origin, pathname } = new URL(location, base)
  return origin + pathname
}

/** fetch hides what happened in the cause, which has a code if it comes from the system or from TLS. */
function codeOf(error: unknown): string {
  const { name, message, cause } = error as Error
  if (name === 'TimeoutError') return 'TIMEOUT'
  const { code, message: why } = (cause ?? {}) as { code?: unknown; message?: string }
  return typeof code === 'string' ? code : (why ?? message)
}

export function explainAnswer(answer: EndpointAnswer): Finding {
  if ('failure' in answer) return explainFailure(answer.failure)
  const { status, isHtml, location } = answer
  const said = `PUBLIC_BASE_URL answers ${status}`
  if (location !== null) {
    return failed(
      `PUBLIC_BASE_URL redirects to ${location}; the signature of what Twilio posts would not fit there`,
      'Set PUBLIC_BASE_URL to the address that answers itself (https, with or without www), everywhere.',
    )
  }
  if (status === 401 || status === 407 || (status < 300 && isHtml)) {
    return failed(
      `${said}${isHtml ? ' with a page' : ''}: something in front of the endpoint wants people to log in`,
      'Exempt /twilio/status from the login: the endpoint checks signatures by itself.',
    )
  }
  if (status < 300) {
    return failed(
      `${said} to a callback that is not signed: this is not the endpoint of sms-retry`,
      'Set PUBLIC_BASE_URL to the address of sms-retry web, with the prefix under which it is mounted.',
    )
  }
  const [, what, fix] = ANSWERS.find(([pattern]) => pattern.test(`${status}`)) ?? ['', '', FIX_OTHERWISE]
  return failed(what === '' ? said : `${said}: ${what}`, fix)
}

const FIX_OTHERWISE = 'Look into the logs of sms-retry web, and of what stands in front of it.'

const ANSWERS: readonly (readonly [status: RegExp, what: string, fix: string])[] = [
  [
    /^(404|405|410)$/,
    'another app, or another path, is there',
    'Set PUBLIC_BASE_URL to the address of sms-retry web, with the prefix under which it is mounted; a proxy must pass POST /twilio/status on.',
  ],
  [
    /^403$/,
    'something in front of the endpoint refuses the request',
    'Let POST /twilio/status through firewall, access rules and bot protection.',
  ],
  [
    /^(400|411|413|415)$/,
    'something on the way changes the request, or refuses forms',
    'Let POST /twilio/status through as it is, body and Content-Type included.',
  ],
  [
    /^429$/,
    'something in front of the endpoint limits requests',
    'Exempt /twilio/status from the limit: callbacks come in bursts.',
  ],
  [
    /^(502|503|504)$/,
    'the proxy does not reach the web process',
    'Start sms-retry web, and check the port that the proxy passes requests to.',
  ],
]

function explainFailure(failure: string): Finding {
  const [, fix] = FAILURES.find(([pattern]) => pattern.test(failure)) ?? [null, FIX_OTHERWISE]
  return failed(
    failure === 'TIMEOUT'
      ? 'PUBLIC_BASE_URL does not answer in time'
      : `PUBLIC_BASE_URL cannot be reached: ${failure}`,
    fix,
  )
}

const FAILURES: readonly (readonly [code: RegExp, fix: string])[] = [
  [/^ECONNREFUSED$/, 'Start sms-retry web, or correct host and port in PUBLIC_BASE_URL.'],
  [
    /^(ENOTFOUND|EAI_AGAIN)$/,
    'The name cannot be resolved: correct the host in PUBLIC_BASE_URL, or its DNS entry.',
  ],
  [
    /CERT|^SELF_SIGNED|^UNABLE_TO/,
    'The certificate is not one that Twilio trusts: install one of a public authority, with its chain, for this very name.',
  ],
  [/^(EPROTO|ERR_SSL)/, 'No TLS there: correct scheme and port in PUBLIC_BASE_URL.'],
  [
    /TIMEOUT/,
    'Check host and port in PUBLIC_BASE_URL, any firewall on the way, and the log of sms-retry web. Twilio waits no longer than 15 s.',
  ],
  [
    /^(ECONNRESET|UND_ERR_SOCKET|EPIPE)$/,
    'The connection breaks: is it https where http is expected, or the other way round?',
  ],
]
