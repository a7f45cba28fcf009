// Reads the message that the path of a request names, for the pages and forms of one message.
import type { Request, RequestHandler, Response } from 'express'
import { z } from 'zod'
import { findMessage, type StoredMessage } from '../../db/messages.ts'
import { parseMessageId } from '../../delivery/message-proof.ts'
import type { Runtime } from '../../processes/runtime.ts'
import { accountOf, basePathOf, sendErrorPage } from './layout.ts'
import { NOTICES, type Notice, type View } from './message-page.ts'

export const NOT_FOUND = {
  status: 404,
  title: 'Message not found',
  text: 'It does not exist, or sms-retry does not manage it.',
} as const
export type MessageHandler = (
  message: StoredMessage,
  view: View,
  request: Request,
  response: Response,
) => Promise<void> | void

/** Reads the message that the path names; 404 if there is none. */
export function withMessage(
  { database, policy, circumstances, config }: Runtime,
  handle: MessageHandler,
): RequestHandler {
  const { showContent } = config.dashboard
  const isSimulated = config.twilio.apiBaseUrl !== null
  return async (request, response) => {
    const id = parseMessageId(String(request.params['id']))
    const message = id === null ? null : await findMessage(database, id)
    if (message === null) return sendErrorPage(request, response, NOT_FOUND)
    const { notice } = noticeQuery.parse(request.query)
    const { state: account, now } = accountOf(response)
    const base = basePathOf(response)
    const view = { base, policy, circumstances, account, now, showContent, isSimulated, notice }
    await handle(message, view, request, response)
  }
}

const noticeQuery = z.object({
  notice: z
    .enum(Object.keys(NOTICES) as Notice[])
    .nullable()
    .catch(null),
})
