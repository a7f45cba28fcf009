// Owns the step from what became of a POST to what its client gets to see, and when the message's life begins.
// What became of it was decided in submit-message.ts.
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

export function answerSubmission(
  response: ServerResponse,
  submitted: Submitted,
  { settings, work }: AnswerDeps,
): void {
  const { now, hangMs, slowMs, retryAfterSeconds } = settings
  switch (submitted.answer) {
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
      writeAnswer(response, proxyAnswer(submitted.proxyStatus), now)
      break
    case 'hung_before':
      holdAndCut(response, hangMs)
      break
    case 'closed_before':
      cut(response)
      break
    case 'refused':
      writeAnswer(response, refusalAnswer(submitted.refusal, retryAfterSeconds), now)
      break
    case 'refused_reset':
      writeHalf(response, refusalAnswer(submitted.refusal, retryAfterSeconds), now)
      break
    case 'hung':
      submitted.startLife()
      holdAndCut(response, hangMs)
      break
    case 'dripped':
      submitted.startLife()
      drip(response, jsonAnswer(201, submitted.resource), now)
      break
    case 'slow':
      // Callbacks do not wait for it: a client has to expect them before it knows the sid.
      submitted.startLife()
      writeLate(response, jsonAnswer(201, submitted.resource), now, slowMs)
      break
    case 'accepted':
      startAfter(response, submitted.startLife, work)
      writeAnswer(response, jsonAnswer(201, submitted.resource), now)
      break
    case 'reset':
      startAfter(response, submitted.startLife, work)
      writeHalf(response, jsonAnswer(201, submitted.resource), now)
      break
    case 'server_error_after':
      startAfter(response, submitted.startLife, work)
      writeAnswer(response, refusalAnswer(refusal(20500), null), now)
      break
    case 'garbage':
      startAfter(response, submitted.startLife, work)
      writeAnswer(response, garbageAnswer(submitted.garbage, submitted.resource), now)
      break
    default:
      submitted satisfies never
  }
}

/**
 * Callbacks come after the answer. Until their first timer runs, the simulator must not be idle.
 * 'close' comes also if the client has gone: its message exists all the same.
 */
function startAfter(response: ServerResponse, startLife: () => void, work: PendingWork): void {
  const started = work.begin()
  response.once('close', () => {
    startLife()
    started()
  })
}
