// Answers a POST to Messages.json as submit-message.ts decided, and starts the lifecycle of the message.
import type { ServerResponse } from 'node:http'
import { garbageAnswer, htmlAnswer, jsonAnswer, proxyAnswer, refusalAnswer } from './http-answer.ts'
import type { PendingWork } from './pending-work.ts'
import type { SimulatorSettings } from './simulator-options.ts'
import type { Submitted } from './submit-message.ts'
import { refusal } from './twilio-errors.ts'
import { cut, drip, holdAndCut, writeAnswer, writeHalf, writeLate } from './write-answer.ts'

export interface AnswerDeps {
  settings: Readonly<SimulatorSettings>
  work: PendingWork
}

export function answerSubmission(response: ServerResponse, submitted: Submitted, deps: AnswerDeps): void {
  if ('startLifecycle' in submitted) answerCreated(response, submitted, deps)
  else if ('refusal' in submitted) answerRefused(response, submitted, deps)
  else answerNotProcessed(response, submitted, deps)
}

function answerNotProcessed(
  response: ServerResponse,
  { answer, proxyStatus }: Extract<Submitted, { proxyStatus: unknown }>,
  { settings: { now, hangMs, retryAfterSeconds } }: AnswerDeps,
): void {
  switch (answer) {
    case 'rate_limited':
      writeAnswer(response, refusalAnswer(refusal(20429), retryAfterSeconds), now)
      break
    case 'unavailable':
      writeAnswer(response, htmlAnswer(503, '503 Service Temporarily Unavailable'), now)
      break
    case 'server_error':
      writeAnswer(response, refusalAnswer(refusal(20500), null), now)
      break
    case 'proxy_page':
      writeAnswer(response, proxyAnswer(proxyStatus), now)
      break
    case 'hung_before':
      holdAndCut(response, hangMs)
      break
    case 'closed_before':
      cut(response)
      break
    default:
      answer satisfies never
  }
}

function answerRefused(
  response: ServerResponse,
  { answer, refusal }: Extract<Submitted, { refusal: unknown }>,
  { settings: { now, retryAfterSeconds } }: AnswerDeps,
): void {
  const write = answer === 'refused_reset' ? writeHalf : writeAnswer
  write(response, refusalAnswer(refusal, retryAfterSeconds), now)
}

function answerCreated(
  response: ServerResponse,
  { answer, resource, garbage, startLifecycle }: Extract<Submitted, { startLifecycle: unknown }>,
  { settings: { now, hangMs, slowMs }, work }: AnswerDeps,
): void {
  const created = jsonAnswer(201, resource)
  // If the answer is late or missing, callbacks arrive before the client knows the sid. Clients must expect this.
  if (answer === 'hung' || answer === 'dripped' || answer === 'slow') startLifecycle()
  else startAfter(response, startLifecycle, work)
  switch (answer) {
    case 'hung':
      holdAndCut(response, hangMs)
      break
    case 'dripped':
      drip(response, created, now)
      break
    case 'slow':
      writeLate(response, created, now, slowMs)
      break
    case 'accepted':
      writeAnswer(response, created, now)
      break
    case 'reset':
      writeHalf(response, created, now)
      break
    case 'server_error_after':
      writeAnswer(response, refusalAnswer(refusal(20500), null), now)
      break
    case 'garbage':
      writeAnswer(response, garbageAnswer(garbage, resource), now)
      break
    default:
      answer satisfies never
  }
}

/**
 * Starts the lifecycle when the answer is complete, so that callbacks come after it. 'close' is also emitted if the client
 * disconnects: its message exists nevertheless. Until then, the simulator is not idle.
 */
function startAfter(response: ServerResponse, startLifecycle: () => void, work: PendingWork): void {
  const end = work.begin()
  response.once('close', () => {
    startLifecycle()
    end()
  })
}
