// Does PUBLIC_BASE_URL lead to our status callback endpoint, and does it take what Twilio signs? Posts callbacks for a
// message that cannot exist: they are answered, and logged there, and change nothing.
import { signAsTwilio } from '../twilio/signature.ts'
import { STATUS_CALLBACK_PATH } from '../twilio/status-callback.ts'
import { nameOfToken } from './configuration.ts'
import { type EndpointAnswer, explainAnswer, post, REFUSALS } from './endpoint-answer.ts'
import { type Examine, failed, type Finding, ok, type CheckContext } from './finding.ts'

/** Larger than any id, and a sid that Twilio gives to nobody. */
const NO_MESSAGE = 999_999_999_999_999
const NO_SID = `SM${'0'.repeat(32)}`

interface Probe {
  readonly url: string
  readonly fields: Readonly<Record<string, string>>
}

function probeOf({ config }: CheckContext): Probe {
  return {
    url: `${config.publicBaseUrl}${STATUS_CALLBACK_PATH}?message=${NO_MESSAGE}&attempt=0`,
    fields: {
      AccountSid: config.twilio.accountSid,
      MessageSid: NO_SID,
      SmsSid: NO_SID,
      MessageStatus: 'sent',
      SmsStatus: 'sent',
      ApiVersion: '2010-04-01',
    },
  }
}

/** Without a signature: our endpoint refuses it, and nothing else does so in the same words. */
export const examineEndpoint: Examine = async (context) => {
  const { url, fields } = probeOf(context)
  const answer = await post(url, fields, null, context.endpointTimeoutMs)
  if (isRefusal(answer, REFUSALS.signature)) {
    return [ok(`PUBLIC_BASE_URL leads to the endpoint: ${STATUS_CALLBACK_PATH} refuses what is not signed`)]
  }
  return [explainAnswer(answer)]
}

/** Each token has to be known there: while tokens are rotated, Twilio signs with the one or the other. */
export const examineSignature: Examine = async (context) => {
  const { url, fields } = probeOf(context)
  const { authTokens } = context.config.twilio
  const found: Finding[] = []
  for (const [i, token] of authTokens.entries()) {
    const answer = await post(url, fields, signAsTwilio(token, url, fields), context.endpointTimeoutMs)
    found.push(explainSigned(answer, nameOfToken(i, authTokens.length)))
  }
  return found
}

function explainSigned(answer: EndpointAnswer, token: string): Finding {
  if ('status' in answer && answer.status === 204)
    return ok(`${token}: a callback that is signed with it is taken`)
  if (isRefusal(answer, REFUSALS.signature)) {
    return failed(
      `The endpoint does not know the signature: ${token} or PUBLIC_BASE_URL differs there, or a proxy changes the path`,
      'Give sms-retry web the same TWILIO_AUTH_TOKEN and PUBLIC_BASE_URL as here, and start it again. A path that a ' +
        'proxy takes away belongs into PUBLIC_BASE_URL.',
    )
  }
  if (isRefusal(answer, REFUSALS.account)) {
    return failed(
      'The endpoint is of another Twilio account',
      'Give sms-retry web the same TWILIO_ACCOUNT_SID as here, and start it again.',
    )
  }
  if (isRefusal(answer, REFUSALS.notRecorded)) {
    return failed(
      'The endpoint cannot write into its database',
      'Its log, and GET /readyz there, say why: the database is away, or not migrated.',
    )
  }
  return explainAnswer(answer)
}

function isRefusal(answer: EndpointAnswer, words: string): boolean {
  return 'status' in answer && answer.text.trim() === words
}
