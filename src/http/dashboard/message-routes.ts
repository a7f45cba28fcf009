// The pages of one message, and the two actions on it: retry and cancel. GET asks to confirm the action, POST performs it.
// Also the file of all messages of a filter.
import { type Response, Router } from 'express'
import { z } from 'zod'
import { type Action, actOnMessage } from '../../messages/act-on-message.ts'
import type { StoredMessage } from '../../db/messages.ts'
import { findIdBySid } from '../../db/search.ts'
import { parseMessageId } from '../../delivery/message-proof.ts'
import { DELIVERY_STATUSES } from '../../delivery/status.ts'
import type { LazyRecording, Runtime } from '../../processes/runtime.ts'
import { parseForm } from './forms.ts'
import { type MessageHandler, NOT_FOUND, withMessage } from './message-handler.ts'
import { basePathOf, sendErrorPage, sendPage } from './layout.ts'
import {
  type CancelAction,
  confirmPage,
  messagePage,
  type Notice,
  possibleActions,
  type SeenRetry,
} from './message-page.ts'
import { csvRoute } from './messages-csv.ts'
import { askToResolve, resolveDoubt } from './resolve-routes.ts'
import { isSameOrigin } from './same-origin.ts'

const FORM_REFUSED = {
  status: 403,
  title: 'Form refused',
  text: 'No action was taken: the form is outdated, or does not come from this dashboard. Open the message again and use its button.',
} as const

/**
 * @param operator the name of the person who is signed in
 * @param publicUrl the PUBLIC_BASE_URL; null if it is not a URL
 */
export function messageRoutes(
  runtime: Runtime,
  recording: LazyRecording,
  operator: string,
  publicUrl: URL | null,
): Router {
  const { database } = runtime
  const router = Router({ caseSensitive: true })
  router.use(csvRoute(runtime, operator))
  router.get('/messages/find', async (request, response) => {
    const { what } = z.object({ what: z.string().trim().catch('') }).parse(request.query)
    const id = parseMessageId(what) ?? (await findIdBySid(database, what))
    if (id === null) return sendErrorPage(request, response, NOT_FOUND)
    response.redirect(303, `${basePathOf(response)}/messages/${id}`)
  })
  router.get(
    '/messages/:id',
    withMessage(runtime, (message, view, request, response) =>
      sendPage(request, response, messagePage(message, view)),
    ),
  )
  for (const kind of ['retry', 'cancel'] as const) {
    const path = `/messages/:id/${kind}`
    router.get(path, withMessage(runtime, askToConfirm(kind)))
    router.post(path, parseForm, withMessage(runtime, performAction(kind, recording, publicUrl)))
  }
  const settle = resolveDoubt(runtime, recording, operator, publicUrl)
  router.get('/messages/:id/resolve', withMessage(runtime, askToResolve))
  router.post('/messages/:id/resolve', parseForm, withMessage(runtime, settle))
  return router
}

function askToConfirm(kind: Action['kind']): MessageHandler {
  return (message, view, request, response) => {
    const action = possibleActions(message, view)[kind]
    if (action === null) return redirectToMessage(response, message, 'nothing')
    sendPage(request, response, confirmPage(message, view, kind, toFields(message, action)))
  }
}

function performAction(
  kind: Action['kind'],
  recording: LazyRecording,
  publicUrl: URL | null,
): MessageHandler {
  return async (message, _view, request, response) => {
    const form = FORMS[kind].safeParse(request.body)
    if (!form.success || form.data.key !== keyOf(message) || !isSameOrigin(request, publicUrl))
      return sendErrorPage(request, response, FORM_REFUSED)
    const { outcome } = await actOnMessage(await recording.get(), message, form.data.action)
    redirectToMessage(response, message, outcome === 'done' ? kind : 'nothing')
  }
}

/** Since the form was opened, a restore may have given the id to another message. The key tells them apart. */
const keyOf = ({ key }: StoredMessage): string => key ?? ''

/** The hidden fields of the form, which FORMS reads. */
function toFields(message: StoredMessage, action: SeenRetry | CancelAction): Record<string, string> {
  const key = keyOf(message)
  if (action.kind === 'cancel') return { key }
  const { seen, force } = action
  return { key, status: seen.status, retryCount: `${seen.retryCount}`, force: `${force}` }
}

const FORMS = {
  cancel: z
    .object({ key: z.string() })
    .transform(({ key }) => ({ key, action: { kind: 'cancel' } as const })),
  retry: z
    .object({
      key: z.string(),
      status: z.enum(DELIVERY_STATUSES),
      retryCount: z
        .string()
        .regex(/^\d{1,9}$/)
        .transform(Number),
      force: z.enum(['true', 'false']),
    })
    .transform(({ key, status, retryCount, force }) => ({
      key,
      action: { kind: 'retry', seen: { status, retryCount }, force: force === 'true' } as const,
    })),
}

function redirectToMessage(response: Response, { id }: StoredMessage, notice: Notice): void {
  response.redirect(303, `${basePathOf(response)}/messages/${id}?notice=${notice}`)
}
