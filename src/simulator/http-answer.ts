// The answers of Twilio's API as data: status, headers and body. twilio-api.ts and answer-submission.ts select one;
// write-answer.ts sends it.
import type { Garbage, ProxyStatus } from './chaos.ts'
import type { MessageResource } from './message-resource.ts'
import { type Refusal, refusalBody } from './twilio-errors.ts'

export interface HttpAnswer {
  status: number
  headers: Readonly<Record<string, string>>
  body: string
}

export function jsonAnswer(status: number, value: object): HttpAnswer {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
    body: JSON.stringify(value),
  }
}

/** @param retryAfterSeconds for a 429 only; null omits the header */
export function refusalAnswer(refusal: Refusal, retryAfterSeconds: number | null): HttpAnswer {
  const answer = jsonAnswer(refusal.httpStatus, refusalBody(refusal))
  if (refusal.httpStatus !== 429 || retryAfterSeconds === null) return answer
  return { ...answer, headers: { ...answer.headers, 'Retry-After': String(retryAfterSeconds) } }
}

/** The answer of a load balancer in front of the API: HTML, without an error code of Twilio's. */
export function htmlAnswer(status: number, title: string): HttpAnswer {
  return {
    status,
    headers: { 'Content-Type': 'text/html; charset=utf-8' },
    body: `<!doctype html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`,
  }
}

const PROXY_TITLES: Record<ProxyStatus, string> = {
  403: '403 Forbidden',
  404: '404 Not Found',
  407: '407 Proxy Authentication Required',
}

/** The refusal of a proxy that has not forwarded the request. */
export function proxyAnswer(status: ProxyStatus): HttpAnswer {
  const answer = htmlAnswer(status, PROXY_TITLES[status])
  if (status !== 407) return answer
  return { ...answer, headers: { ...answer.headers, 'Proxy-Authenticate': 'Basic realm="proxy"' } }
}

/** A 201 without a readable sid. */
export function garbageAnswer(garbage: Garbage, resource: MessageResource): HttpAnswer {
  switch (garbage) {
    case 'no_sid':
      return jsonAnswer(201, {})
    case 'html':
      return htmlAnswer(201, 'Created')
    case 'empty':
      return { ...jsonAnswer(201, {}), body: '' }
    case 'wrong_sid':
      return jsonAnswer(201, { ...resource, sid: 'SM-not-a-sid' })
  }
}
