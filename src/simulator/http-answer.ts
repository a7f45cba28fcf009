// Owns the answers of Twilio's API as data: status, headers and body. Which of them a request gets is left to
// twilio-api.ts and answer-submission.ts, writing them (or a part, or late) to write-answer.ts.
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

/** `retryAfterSeconds` is for a 429 only; null leaves the header out. */
export function refusalAnswer(refusal: Refusal, retryAfterSeconds: number | null): HttpAnswer {
  const answer = jsonAnswer(refusal.httpStatus, refusalBody(refusal))
  if (refusal.httpStatus !== 429 || retryAfterSeconds === null) return answer
  return { ...answer, headers: { ...answer.headers, 'Retry-After': String(retryAfterSeconds) } }
}

/** As a load balancer in front of the API answers: it knows nothing of Twilio's codes, or of JSON. */
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

/** As a proxy refuses that never asked Twilio. */
export function proxyAnswer(status: ProxyStatus): HttpAnswer {
  const answer = htmlAnswer(status, PROXY_TITLES[status])
  if (status !== 407) return answer
  return { ...answer, headers: { ...answer.headers, 'Proxy-Authenticate': 'Basic realm="proxy"' } }
}

/** A 201 from which no client can learn the sid. */
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
