// The page that settles a message in doubt: GET asks, POST does it.
import type { Response } from 'express'
import { z } from 'zod'
import type { StoredMessage } from '../../db/messages.ts'
import { attemptInDoubt } from '../../delivery/in-doubt.ts'
import { resolveMessage } from '../../messages/resolve-message.ts'
import type { LazyRecording, Runtime } from '../../processes/runtime.ts'
import { SID } from '../../twilio/parse-body.ts'
import { basePathOf, sendErrorPage, sendPage } from './layout.ts'
import type { MessageHandler } from './message-handler.ts'
import { resolvePage } from './resolve-page.ts'
import { isSameOrigin } from './same-origin.ts'

export const askToResolve: MessageHandler = (message, view, request, response) => {
  const inDoubt = attemptInDoubt(message, view.now)
  if (inDoubt === null) return redirect(response, message, 'nothing')
  const { attempt, claimedAt } = inDoubt
  const fields = {
    key: message.key ?? '',
    attempt: `${attempt}`,
    claimedAt: claimedAt.toISOString(),
  }
  sendPage(request, response, resolvePage(message, view, inDoubt, fields))
}

/** @param operator the name of the person who is signed in */
export function resolveDoubt(
  { config }: Pick<Runtime, 'config'>,
  recording: LazyRecording,
  operator: string,
  publicUrl: URL | null,
): MessageHandler {
  return async (message, _view, request, response) => {
    const form = formSchema.safeParse(request.body)
    if (!form.success || form.data.key !== (message.key ?? '') || !isSameOrigin(request, publicUrl))
      return sendErrorPage(request, response, FORM_REFUSED)
    const { sid, attempt, claimedAt } = form.data
    const deps = { ...(await recording.get()), twilio: config.twilio }
    const statement = sid === '' ? ('not_sent' as const) : { sid }
    const result = await resolveMessage(deps, message, statement, operator, { attempt, claimedAt })
    if (result.outcome === 'nothing_to_do')
      return sendErrorPage(request, response, {
        status: 409,
        title: 'Not resolved',
        text: `No action was taken: ${result.why}.`,
      })
    redirect(response, message, result.outcome === 'done' ? 'resolve' : 'nothing')
  }
}

const FORM_REFUSED = {
  status: 403,
  title: 'Form refused',
  text: 'No action was taken: the form is incomplete or outdated, or does not come from this dashboard. Open the message again and use its button.',
} as const

const formSchema = z.object({
  key: z.string(),
  attempt: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number),
  claimedAt: z.iso.datetime().transform((time) => new Date(time)),
  /** Empty if Twilio does not have the message. */
  sid: z
    .string()
    .trim()
    .refine((sid) => sid === '' || SID.test(sid)),
})

function redirect(response: Response, { id }: StoredMessage, notice: 'resolve' | 'nothing'): void {
  response.redirect(303, `${basePathOf(response)}/messages/${id}?notice=${notice}`)
}
