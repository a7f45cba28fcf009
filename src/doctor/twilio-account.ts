// Does Twilio take the credentials, and may the account send? Two cheap reads; no message is sent.
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
  if (answer.outcome === 'refused') return [refused(answer, CREDENTIALS)]
  const sender = twilio.apiKey === null ? 'the auth token' : 'the API key'
  return [
    stateOf(answer) ?? ok(`The account is active, and its auth token is right; requests use ${sender}`),
    ...signerOf(answer, twilio.authTokens),
  ]
}

const CREDENTIALS =
  'Copy TWILIO_ACCOUNT_SID and the primary auth token from the Twilio console: of TWILIO_AUTH_TOKEN, the first one ' +
  'sends. Test credentials do not do. If both are right, the account may be suspended or closed.'

type Found = Extract<AccountAnswer, { outcome: 'found' }>

function stateOf({ status, isTrial }: Found): Finding | null {
  if (status !== 'active') {
    return failed(
      `The account is ${status}: Twilio sends nothing`,
      'Look in the Twilio console: often the balance is used up.',
    )
  }
  if (!isTrial) return null
  return warning(
    'The account is a trial: Twilio sends to verified numbers only, and puts words of its own before each text',
    'Upgrade the account in the Twilio console before real messages are sent.',
  )
}

function signerOf({ primaryToken }: Found, authTokens: readonly string[]): Finding[] {
  if (primaryToken === null || authTokens.includes(primaryToken)) return []
  return [
    failed(
      "Twilio signs status callbacks with the account's primary auth token, which is not in TWILIO_AUTH_TOKEN",
      'Set TWILIO_AUTH_TOKEN to the primary token; while it is rotated, to both, separated by a comma.',
    ),
  ]
}

export const examineApiKey: Examine = async ({ config: { twilio } }) => {
  if (twilio.apiKey === null) return [ok('None is set, and none is needed')]
  const answer = await readNewestMessage(twilio)
  if (answer.outcome === 'unreachable') return [unreachable(answer)]
  if (answer.outcome === 'refused') return [refused(answer, API_KEY)]
  return [ok('It may read messages')]
}

const API_KEY =
  'Create a standard key in the Twilio console, in the region that is used, and set TWILIO_API_KEY_SID and ' +
  'TWILIO_API_KEY_SECRET. A restricted key needs the permissions to create, read and list messages.'

/** Source: https://www.twilio.com/docs/api/errors */
const NOT_ACTIVE = new Set([10001, 20005, 90010])

function refused({ httpStatus, code }: Refused, fix: string): Finding {
  const answer = code === null ? `HTTP ${httpStatus}` : `HTTP ${httpStatus}, code ${code}`
  if (code !== null && NOT_ACTIVE.has(code)) {
    return failed(
      `The account is not active (${answer})`,
      'Look in the Twilio console: often the balance is used up.',
    )
  }
  if (httpStatus === 429)
    return warning(`Twilio has too many requests to answer (${answer})`, 'Ask again in a minute.')
  if (code === null && httpStatus < 500) {
    return failed(
      `Something other than Twilio answers (${answer}, without an error code of Twilio's)`,
      'Check the proxies and filters between this machine and api.twilio.com, and TWILIO_API_BASE_URL, if it is set.',
    )
  }
  if (httpStatus >= 500)
    return failed(`Twilio does not answer as it should (${answer})`, 'Look at status.twilio.com.')
  return failed(`Twilio refuses these credentials (${answer})`, fix)
}

function unreachable({ reason, code }: Unreachable): Finding {
  const [, fix] = UNREACHABLE.find(([pattern]) => code !== null && pattern.test(code)) ?? [null, OTHERWISE]
  return failed(`Twilio cannot be reached: ${reason}`, fix)
}

const OTHERWISE =
  'Check that this machine may make https requests to api.twilio.com (or to TWILIO_API_BASE_URL, if it is set).'

const UNREACHABLE: readonly (readonly [code: RegExp, fix: string])[] = [
  [
    /CERT|SELF_SIGNED|^UNABLE_TO/,
    'The certificate of the address is not trusted: something on the way may inspect TLS. Set NODE_EXTRA_CA_CERTS to a ' +
      'file with the certificate of its authority, for every process, and start them again.',
  ],
  [
    /^PROXY_REFUSED$/,
    'The proxy of HTTPS_PROXY (or HTTP_PROXY) does not open a connection. Check its user and password, allow ' +
      'api.twilio.com:443 there, or name the host in NO_PROXY.',
  ],
  [
    /^(ENOTFOUND|EAI_AGAIN|EAI_FAIL)$/,
    'The name cannot be resolved: check the DNS of this machine, or the host in TWILIO_API_BASE_URL or HTTPS_PROXY.',
  ],
  [/^(EMFILE|ENFILE)$/, 'Too many files are open: raise the limit of the process (ulimit -n).'],
]
