// Owns the routes that speak Twilio's HTTP: who may ask, and how create, fetch and list are answered.
// The rules behind the answers are left to submit-message.ts and list-messages.ts.
import express, { type ErrorRequestHandler, type Request, type Response, Router } from 'express'
import { isListRefusal, listMessages } from './list-messages.ts'
import { API_VERSION } from './message-resource.ts'
import type { SimulatorSettings } from './simulator-options.ts'
import { type SubmitAnswer, type SubmitDeps, submitMessage } from './submit-message.ts'
import { type Refusal, refusal, refusalBody } from './twilio-errors.ts'

export function createTwilioApi(deps: SubmitDeps): Router {
  const { settings, messages } = deps
  const account = `/${API_VERSION}/Accounts/:accountSid`
  const router = Router()

  router.use(`/${API_VERSION}`, (request, response, next) => {
    if (mayAsk(request, settings)) next()
    else refuse(response, refusal(20003), settings)
  })
  router.use(account, (request, response, next) => {
    if (request.params.accountSid === settings.accountSid) next()
    else refuse(response, notFound(request), settings)
  })
  router.post(`${account}/Messages.json`, express.urlencoded({ extended: false }), (request, response) => {
    answerSubmission(response, submitMessage(request.body, deps), deps)
  })
  router.get(`${account}/Messages.json`, (request, response) => {
    const { pathname, searchParams } = new URL(request.originalUrl, 'http://simulator')
    const list = listMessages(messages.newestFirst(settings.listRefused), pathname, searchParams)
    if (isListRefusal(list)) refuse(response, list, settings)
    else response.json(list)
  })
  router.get(`${account}/Messages/:sid.json`, (request, response) => {
    const message = messages.find(request.params.sid, settings.listRefused)
    if (message === undefined) refuse(response, notFound(request), settings)
    else response.json(message.resource)
  })
  router.use(`/${API_VERSION}`, (request, response) => refuse(response, notFound(request), settings))
  router.use(`/${API_VERSION}`, refuseUnreadable(settings))
  return router
}

function answerSubmission(response: Response, answer: SubmitAnswer, { settings, work }: SubmitDeps): void {
  switch (answer.kind) {
    case 'refused':
      refuse(response, answer.refusal, settings)
      break
    case 'hang':
      answer.startLife()
      hang(response, settings.hangMs)
      break
    case 'created': {
      // Callbacks come after the answer. Until their first timer runs, this keeps the simulator from being idle.
      // 'close' comes also if the client has gone: its message exists all the same.
      const started = work.begin()
      response.once('close', () => {
        answer.startLife()
        started()
      })
      response.status(201).json(answer.resource)
    }
  }
}

/** Holds the request without an answer, then cuts its connection; a client that leaves earlier is let go. */
function hang(response: Response, hangMs: number): void {
  const timer = setTimeout(() => response.socket?.destroy(), hangMs)
  response.once('close', () => clearTimeout(timer))
}

function mayAsk(request: Request, { accountSid, authToken, apiKey }: SimulatorSettings): boolean {
  const given = /^Basic (.+)$/i.exec(request.get('authorization') ?? '')?.[1]
  if (given === undefined) return false
  const credentials = Buffer.from(given, 'base64').toString()
  return (
    credentials === `${accountSid}:${authToken}` ||
    (apiKey !== null && credentials === `${apiKey.sid}:${apiKey.secret}`)
  )
}

function notFound(request: Request): Refusal {
  const path = request.originalUrl.split('?')[0]
  return refusal(20404, `The requested resource ${path} was not found`)
}

function refuse(response: Response, answer: Refusal, { retryAfterSeconds }: SimulatorSettings): void {
  if (answer.httpStatus === 429) response.set('Retry-After', String(retryAfterSeconds))
  response.status(answer.httpStatus).json(refusalBody(answer))
}

/** A body that express cannot read (too large, unknown charset) is the client's fault; anything else is ours. */
function refuseUnreadable(settings: SimulatorSettings): ErrorRequestHandler {
  return (error, _request, response, next) => {
    const status: unknown = error?.status
    if (typeof status !== 'number' || status < 400 || status > 499) next(error)
    else
      refuse(response, { ...refusal(20001, 'The request could not be read'), httpStatus: status }, settings)
  }
}
