// The routes of Twilio's API: checks the credentials, and answers fetch and list. submit-message.ts processes POSTs, and
// answer-submission.ts answers them.
import express, { type ErrorRequestHandler, type Request, type Response, Router } from 'express'
import { accountResource } from './account-resource.ts'
import { answerSubmission } from './answer-submission.ts'
import { drawLookupFault } from './chaos.ts'
import { jsonAnswer, proxyAnswer, refusalAnswer } from './http-answer.ts'
import { isListRefusal, listMessages } from './list-messages.ts'
import { API_VERSION } from './message-resource.ts'
import type { OpenRequests } from './open-requests.ts'
import type { Random } from './seeded-random.ts'
import type { SimulatorSettings } from './simulator-options.ts'
import { type SubmitDeps, submitMessage } from './submit-message.ts'
import { type Refusal, refusal } from './twilio-errors.ts'
import { writeAnswer } from './write-answer.ts'

export interface TwilioApiDeps extends SubmitDeps {
  authToken: () => string
  secondaryToken: () => string | undefined
  openRequests: OpenRequests
  /** GETs have a generator of their own, so that lookups do not change which faults POSTs get. */
  random: SubmitDeps['random'] & { lookups: Random }
}

export function createTwilioApi(deps: TwilioApiDeps): Router {
  const { settings, messages, chaos, random, authToken, secondaryToken, accountStatus, openRequests } = deps
  const accountPath = `/${API_VERSION}/Accounts/:accountSid`
  const listPath = `${accountPath}/Messages.json`
  const messagePath = `${accountPath}/Messages/:sid.json`
  const router = Router()

  const answerJson = (response: Response, value: object) => {
    writeAnswer(response, jsonAnswer(200, value), settings.now)
  }
  const refuse = (response: Response, refused: Refusal) => {
    writeAnswer(response, refusalAnswer(refused, settings.retryAfterSeconds), settings.now)
  }

  router.use(`/${API_VERSION}`, (request, response, next) => {
    openRequests.add(response)
    if (isAuthorized(request, [authToken(), secondaryToken()], settings)) next()
    else refuse(response, refusal(20003))
  })
  router.get(`${accountPath}.json`, (request, response) => {
    // A standard API key may not read the account.
    if (usesApiKey(request, settings)) refuse(response, refusal(20003))
    else if (request.params.accountSid !== settings.accountSid) refuse(response, notFound(request))
    else answerJson(response, accountResource({ ...settings, accountStatus: accountStatus() }, authToken()))
  })
  router.use(accountPath, (request, response, next) => {
    if (request.params.accountSid === settings.accountSid) next()
    else refuse(response, notFound(request))
  })
  router.post(listPath, express.urlencoded({ extended: false }), (request, response) => {
    answerSubmission(response, submitMessage(request.body, deps), deps)
  })
  router.get([listPath, messagePath], (_request, response, next) => {
    const fault = drawLookupFault(random.lookups, chaos())
    if (fault === null) next()
    else if (fault === 'error') refuse(response, refusal(20500))
    else writeAnswer(response, proxyAnswer(fault), settings.now)
  })
  router.get(listPath, (request, response) => {
    const { pathname, searchParams } = new URL(request.originalUrl, 'http://simulator')
    const found = listMessages(messages.newestFirst(settings.listRefused), pathname, searchParams)
    if (isListRefusal(found)) refuse(response, found)
    else answerJson(response, found)
  })
  router.get(messagePath, (request, response) => {
    const message = messages.find(request.params.sid, settings.listRefused)
    if (message === undefined) refuse(response, notFound(request))
    else answerJson(response, message.resource)
  })
  router.use(`/${API_VERSION}`, (request, response) => refuse(response, notFound(request)))
  router.use(`/${API_VERSION}`, refuseUnreadable(refuse))
  return router
}

function isAuthorized(
  request: Request,
  authTokens: readonly (string | undefined)[],
  settings: SimulatorSettings,
): boolean {
  const given = credentialsOf(request)
  const usesToken = authTokens.some(
    (token) => token !== undefined && given === `${settings.accountSid}:${token}`,
  )
  return usesToken || usesApiKey(request, settings)
}

function usesApiKey(request: Request, { apiKey }: SimulatorSettings): boolean {
  return apiKey !== null && credentialsOf(request) === `${apiKey.sid}:${apiKey.secret}`
}

function credentialsOf(request: Request): string | null {
  const given = /^Basic (.+)$/i.exec(request.get('authorization') ?? '')?.[1]
  return given === undefined ? null : Buffer.from(given, 'base64').toString()
}

function notFound(request: Request): Refusal {
  const path = request.originalUrl.split('?')[0]
  return refusal(20404, `The requested resource ${path} was not found`)
}

/** Answers 4xx if Express cannot read the body (too large, unknown charset). Other errors are bugs of the simulator. */
function refuseUnreadable(refuse: (response: Response, refused: Refusal) => void): ErrorRequestHandler {
  return (error, _request, response, next) => {
    const status: unknown = error?.status
    if (typeof status !== 'number' || status < 400 || status > 499) next(error)
    else refuse(response, { ...refusal(20001, 'The request could not be read'), httpStatus: status })
  }
}
