// The routes for people and tests: what the simulator received and sent, as JSON and as pages, and the account's status,
// which can be changed. They need no credentials, so by default the simulator listens on this machine only.
import express, { Router } from 'express'
import { type AccountStatus, checkAccountStatus } from './account-resource.ts'
import type { CallbackQueue } from './callback-queue.ts'
import type { Chaos } from './chaos.ts'
import { firstPage } from './first-page.ts'
import { sendPage } from './page.ts'
import { INBOX_REFRESH_SECONDS, inboxPage } from './inbox-page.ts'
import type { MessageStore } from './message-store.ts'
import type { SimulatorSettings } from './simulator-options.ts'

export interface InspectionDeps {
  settings: Readonly<SimulatorSettings>
  authToken: () => string
  chaos: () => Readonly<Chaos>
  accountStatus: () => AccountStatus
  setAccountStatus: (status: AccountStatus) => void
  messages: MessageStore
  callbacks: CallbackQueue
}

export function createInspection({
  settings,
  authToken,
  chaos,
  accountStatus,
  setAccountStatus,
  messages,
  callbacks,
}: InspectionDeps): Router {
  const router = Router()
  router.get('/simulator/messages', (_request, response) => {
    response.json({ messages: messages.all(), double_submissions: messages.doubleSubmissions() })
  })
  router.get('/simulator/callbacks', (_request, response) => {
    response.json({ callbacks: callbacks.all() })
  })
  router.get('/simulator/account', (_request, response) => {
    response.json({ status: accountStatus() })
  })
  router.post('/simulator/account', express.urlencoded({ extended: false }), (request, response) => {
    try {
      setAccountStatus(checkAccountStatus(request.body?.status))
      response.json({ status: accountStatus() })
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      response.status(400).json({ error: error.message })
    }
  })
  router.get('/', (request, response) => {
    const content = firstPage({
      settings,
      authToken: authToken(),
      chaos: chaos(),
      accountStatus: accountStatus(),
      submissionCounts: messages.counts(),
      callbacksSent: callbacks.sentCount,
      // The reader's app can use the address at which the reader opened this page.
      baseUrl: `http://${request.get('host') ?? settings.host}`,
    })
    sendPage(response, { title: 'Twilio simulator', content })
  })
  router.get('/inbox', (_request, response) => {
    const content = inboxPage(messages.all())
    sendPage(response, { title: 'Inbox · Twilio simulator', content, refreshSeconds: INBOX_REFRESH_SECONDS })
  })
  return router
}
