// Does Twilio accept the credentials, and may the account send? Reads the account and one message, and sends nothing.
import {
  type AccountAnswer,
  fetchAccount,
  readNewestMessage,
  type Refused,
  type Unreachable,
} from '../twilio/account.ts'
import { type Examine, failed, type Finding, ok, warning } from './finding.ts'

export const examineAccount: Examine = async ({ config: { twilio } }) => {
  const answer = await fetchAccount(twilio)
  if (answer.outcome === 'unreachable') return [unreachable(answer)]
  if (answer.outcome === 'refused') return [refused(answer, FIX_CREDENTIALS)]
  const sender = twilio.apiKey === null ? 'the auth token' : 'the API key'
  return [
    stateFault(answer) ?? ok(`The account is active and its auth token is valid. Requests use ${sender}`),
    ...signingTokenFaults(answer, twilio.authTokens),
  ]
}

const FIX_CREDENTIALS =
  'Copy account SID and primary auth token from the Twilio console again. If TWILIO_AUTH_TOKEN has several tokens, ' +
  'requests use the first one. Test credentials do not work. If both are correct, the account may be suspended or closed.'

type Found = Extract<AccountAnswer, { outcome: 'found' }>

function stateFault({ status, isTrial }: Found): Finding | null {
  if (status !== 'active') {
    return failed(`The account is ${status}: Twilio sends nothing`, CHECK_BALANCE)
  }
  if (!isTrial) return null
  return warning(
    'The account is a trial: Twilio sends to verified numbers only, and adds a notice to each text',
    'Upgrade the account in the Twilio console before you send real messages.',
  )
}

function signingTokenFaults({ primaryToken }: Found, authTokens: readonly string[]): Finding[] {
  if (primaryToken === null || authTokens.includes(primaryToken)) return []
  return [
    failed(
      "Twilio signs status callbacks with the account's primary auth token, which is not in TWILIO_AUTH_TOKEN",
      'Set TWILIO_AUTH_TOKEN to the primary token. While you rotate it, set both tokens, separated by a comma.',
    ),
  ]
}

export const examineApiKey: Examine = async ({ config: { twilio } }) => {
  if (twilio.apiKey === null) return [ok('No API key is set; none is required')]
  const answer = await readNewestMessage(twilio)
  if (answer.outcome === 'unreachable') return [unreachable(answer)]
  if (answer.outcome === 'refused') return [refused(answer, FIX_API_KEY)]
  return [ok('The API key may read messages')]
}

const FIX_API_KEY =
  'Create a standard key in the Twilio console, in the region of the account, and set TWILIO_API_KEY_SID and ' +
  'TWILIO_API_KEY_SECRET. A restricted key needs permission to create, read and list messages.'

const CHECK_BALANCE = 'Check in the Twilio console whether the balance is empty.'

/** Error codes of an account that is not active. Source: https://www.twilio.com/docs/api/errors */
const NOT_ACTIVE = new Set([10001, 20005, 90010])

function refused({ httpStatus, code }: Refused, fix: string): Finding {
  const answer = code === null ? `HTTP ${httpStatus}` : `HTTP ${httpStatus}, code ${code}`
  if (code !== null && NOT_ACTIVE.has(code)) {
    return failed(`The account is not active (${answer})`, CHECK_BALANCE)
  }
  if (httpStatus === 429)
    return warning(`Twilio limits the request rate (${answer})`, 'Try again in a minute.')
  if (code === null && httpStatus < 500) {
    return failed(
      `Something other than Twilio answers (${answer}, without a Twilio error code)`,
      'Check proxies and filters between this machine and api.twilio.com, and TWILIO_API_BASE_URL if it is set.',
    )
  }
  if (httpStatus >= 500) return failed(`Twilio has an internal error (${answer})`, 'Check status.twilio.com.')
  return failed(`Twilio rejects these credentials (${answer})`, fix)
}

function unreachable({ reason, code }: Unreachable): Finding {
  const [, fix] = FIXES.find(([pattern]) => code !== null && pattern.test(code)) ?? [null, FIX_OTHERWISE]
  return failed(`Twilio cannot be reached: ${reason}`, fix)
}

const FIX_OTHERWISE =
  'Check that this machine can make https requests to api.twilio.com, or to TWILIO_API_BASE_URL if it is set.'

const FIXES: readonly (readonly [code: RegExp, fix: string])[] = [
  [
    /CERT|SELF_SIGNED|^UNABLE_TO/,
    'The certificate is not trusted; a proxy may intercept TLS. Set NODE_EXTRA_CA_CERTS of every process to a file with ' +
      'the certificate of the authority that issued it, and restart the processes.',
  ],
  [
    /^PROXY_REFUSED$/,
    'The proxy of HTTPS_PROXY (or HTTP_PROXY) refuses the connection. Check its user and password, allow ' +
      'api.twilio.com:443 there, or add the host to NO_PROXY.',
  ],
  [
    /^(ENOTFOUND|EAI_AGAIN|EAI_FAIL)$/,
    'The host name cannot be resolved. Check the DNS of this machine, and the host in TWILIO_API_BASE_URL or HTTPS_PROXY.',
  ],
  [/^(EMFILE|ENFILE)$/, 'Too many files are open. Raise the limit of the process (ulimit -n).'],
]
