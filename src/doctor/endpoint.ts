// Does PUBLIC_BASE_URL lead to our status callback endpoint, and does the endpoint accept Twilio's signatures? The checks
// post callbacks for a message that cannot exist: the endpoint answers and logs them, and changes no row.
import { signAsTwilio } from '../twilio/signature.ts'
import { STATUS_CALLBACK_PATH } from '../twilio/status-callback.ts'
import { nameOfToken } from './configuration.ts'
import { type EndpointAnswer, explainAnswer, postCallback } from './endpoint-answer.ts'
import { type CheckContext, type Examine, failed, type Finding, ok, warning } from './finding.ts'

/** An id that no table reaches. */
const UNUSED_MESSAGE_ID = 999_999_999_999_999
/** A sid that Twilio never assigns. */
const UNUSED_SID = `SM${'0'.repeat(32)}`

interface Probe {
  readonly url: string
  readonly fields: Readonly<Record<string, string>>
}

function probeOf({ config }: CheckContext): Probe {
  return {
    url: `${config.publicBaseUrl}${STATUS_CALLBACK_PATH}?message=${UNUSED_MESSAGE_ID}&attempt=0`,
    fields: {
      AccountSid: config.twilio.accountSid,
      MessageSid: UNUSED_SID,
      SmsSid: UNUSED_SID,
      MessageStatus: 'sent',
      SmsStatus: 'sent',
      ApiVersion: '2010-04-01',
    },
  }
}

/** Posts an unsigned callback. Only our endpoint rejects it with the result code bad_signature. */
export const examineEndpoint: Examine = async (context) => {
  const { url, fields } = probeOf(context)
  const answer = await postCallback(url, fields, null, context.endpointTimeoutMs)
  switch (resultOf(answer)) {
    case 'bad_signature':
      return [ok(`PUBLIC_BASE_URL leads to the endpoint: ${STATUS_CALLBACK_PATH} rejects unsigned callbacks`)]
    case 'body_already_read':
      return [BODY_ALREADY_READ]
    default:
      return [explainAnswer(answer)]
  }
}

const BODY_ALREADY_READ = failed(
  'The endpoint cannot verify signatures: another body parser of the app has already read the form',
  'Mount the router of sms-retry before the body parsers.',
)

/** Checks every token: while tokens are rotated, Twilio may sign with any of them. */
export const examineSignature: Examine = async (context) => {
  const { url, fields } = probeOf(context)
  const { authTokens } = context.config.twilio
  const findings: Finding[] = []
  for (const [i, token] of authTokens.entries()) {
    const answer = await postCallback(
      url,
      fields,
      signAsTwilio(token, url, fields),
      context.endpointTimeoutMs,
    )
    findings.push(explainSigned(answer, nameOfToken(i, authTokens.length)))
  }
  return findings
}

function explainSigned(answer: EndpointAnswer, token: string): Finding {
  switch (resultOf(answer)) {
    case 'accepted':
      return ok(`${token}: the endpoint accepts a callback signed with it`)
    case 'bad_signature':
      return failed(
        `The endpoint rejects the signature: ${token} or PUBLIC_BASE_URL differs there, or a proxy changes the path`,
        'Run sms-retry web with the same TWILIO_AUTH_TOKEN and PUBLIC_BASE_URL as here, and restart it. If a proxy ' +
          'removes a path prefix, include the prefix in PUBLIC_BASE_URL.',
      )
    case 'other_account':
      return failed(
        'The endpoint belongs to another Twilio account',
        'Run sms-retry web with the same TWILIO_ACCOUNT_SID as here, and restart it.',
      )
    case 'overloaded':
      return warning(
        `${token}: the endpoint accepts the signature, but is overloaded: too many callbacks wait to be recorded`,
        'Twilio repeats these callbacks. If this lasts, look for locks on sms_usage_logs and for a slow database.',
      )
    case 'not_recorded':
      return failed(
        'The endpoint cannot write to its database',
        'Check its log and GET /readyz: the database is unreachable or not migrated.',
      )
    case 'body_already_read':
      return BODY_ALREADY_READ
    default:
      return explainAnswer(answer)
  }
}

/** Null if our endpoint did not answer. */
function resultOf(answer: EndpointAnswer) {
  return answer.kind === 'answered' ? answer.result : null
}
