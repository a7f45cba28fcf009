// POST /sms/twilio/status: records Twilio's status callbacks. PUBLIC_BASE_URL ends with /sms.
import { createStatusCallbackHandler } from 'sms-retry'

// Created by the first request, because `next build` loads this file without the settings of production.
let handle: ReturnType<typeof createStatusCallbackHandler> | undefined

export function POST(request: Request): Promise<Response> {
  handle ??= createStatusCallbackHandler()
  return handle(request)
}
