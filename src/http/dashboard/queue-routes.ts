// The queue page, and the two actions on the account: pause and resume sending. GET asks to confirm the action, POST performs it.
import { type Response, Router } from 'express'
import { z } from 'zod'
import { changeSending, pauseSending, resumeSending } from '../../db/account-row.ts'
import { MAX_PAUSE_REASON } from '../../delivery/account-state.ts'
import type { Runtime } from '../../processes/runtime.ts'
import { printableLine } from '../../shared/printable.ts'
import {
  ACCOUNT_NOTICES,
  type AccountNotice,
  confirmAccountPage,
  possibleAccountActions,
  seenAccount,
} from './account-page.ts'
import { parseForm } from './forms.ts'
import { accountOf, basePathOf, sendErrorPage, sendPage } from './layout.ts'
import { queuePage } from './queue-page.ts'
import { isSameOrigin } from './same-origin.ts'

const FORM_REFUSED = {
  status: 403,
  title: 'Form refused',
  text: 'No action was taken: the form is incomplete, or does not come from this dashboard. Open the page Queue and use its button.',
} as const

/**
 * @param operator the name of the person who is signed in
 * @param publicUrl the PUBLIC_BASE_URL; null if it is not a URL
 */
export function queueRoutes(
  { database, logger }: Pick<Runtime, 'database' | 'logger'>,
  operator: string,
  publicUrl: URL | null,
): Router {
  const router = Router({ caseSensitive: true })
  router.get('/queue', async (request, response) => {
    const { notice } = noticeQuery.parse(request.query)
    const { state } = accountOf(response)
    sendPage(request, response, await queuePage(database, basePathOf(response), state, notice))
  })
  for (const action of ['pause', 'resume'] as const) {
    const path = `/queue/${action}`
    router.get(path, (request, response) => {
      const { state } = accountOf(response)
      if (!possibleAccountActions(state).includes(action)) return redirectToQueue(response, 'nothing')
      sendPage(request, response, confirmAccountPage(basePathOf(response), action, state))
    })
    router.post(path, parseForm, async (request, response) => {
      const form = FORMS[action].safeParse(request.body)
      if (!form.success || !isSameOrigin(request, publicUrl))
        return sendErrorPage(request, response, FORM_REFUSED)
      const { seen, reason } = form.data
      const isDone = await changeSending(database, async (tx, state) => {
        if (seen !== seenAccount(state) || !possibleAccountActions(state).includes(action)) return false
        await (action === 'pause' ? pauseSending(tx, operator, reason) : resumeSending(tx))
        return true
      })
      if (!isDone) return redirectToQueue(response, 'nothing')
      logger.warn(action === 'pause' ? 'Sending was paused' : 'Sending was resumed', { by: operator, reason })
      redirectToQueue(response, action)
    })
  }
  return router
}

const noticeQuery = z.object({
  notice: z
    .enum(Object.keys(ACCOUNT_NOTICES) as AccountNotice[])
    .nullable()
    .catch(null),
})

/** Browsers limit the length in the same unit, UTF-16 code units. */
const reason = z
  .string()
  .max(MAX_PAUSE_REASON)
  .transform((text) => printableLine(text).trim() || null)

const FORMS = {
  pause: z.object({ seen: z.string(), reason }),
  resume: z.object({ seen: z.string() }).transform((form) => ({ ...form, reason: null })),
}

function redirectToQueue(response: Response, notice: AccountNotice): void {
  response.redirect(303, `${basePathOf(response)}/queue?notice=${notice}`)
}
