// The page of outcomes that were not delivered, and its action: deliver the failed ones again.
import { Router } from 'express'
import { z } from 'zod'
import type { LazyRecording, Runtime } from '../../processes/runtime.ts'
import { parseForm } from './forms.ts'
import { accountOf, basePathOf, sendErrorPage, sendPage } from './layout.ts'
import { OUTCOME_NOTICES, type OutcomeNotice, outcomesPage } from './outcomes-page.ts'
import { isSameOrigin } from './same-origin.ts'

const FORM_REFUSED = {
  status: 403,
  title: 'Form refused',
  text: 'No action was taken: the form does not come from this dashboard. Open the page Outcomes and use its button.',
} as const

/**
 * @param operator the name of the person who is signed in
 * @param publicUrl the PUBLIC_BASE_URL; null if it is not a URL
 */
export function outcomeRoutes(
  { logger }: Pick<Runtime, 'logger'>,
  recording: LazyRecording,
  operator: string,
  publicUrl: URL | null,
): Router {
  const router = Router({ caseSensitive: true })
  router.get('/queue/outcomes', async (request, response) => {
    const { notice } = noticeQuery.parse(request.query)
    const { queue } = await recording.get()
    const { now } = accountOf(response)
    sendPage(request, response, await outcomesPage(queue.outcomes, basePathOf(response), now, notice))
  })
  router.post('/queue/outcomes', parseForm, async (request, response) => {
    if (!isSameOrigin(request, publicUrl)) return sendErrorPage(request, response, FORM_REFUSED)
    const { queue } = await recording.get()
    const redelivered = await queue.outcomes.redeliverFailed()
    logger.info('Failed outcomes are delivered again', { by: operator, redelivered })
    response.redirect(303, `${basePathOf(response)}/queue/outcomes?notice=redelivered`)
  })
  return router
}

const noticeQuery = z.object({
  notice: z
    .enum(Object.keys(OUTCOME_NOTICES) as OutcomeNotice[])
    .nullable()
    .catch(null),
})
