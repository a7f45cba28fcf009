// Is every setting there, and does it make sense? Faults and what is merely odd, each by its name and without its value.
import { createRetryPolicy } from '../delivery/retry-policy.ts'
import { ConfigError } from '../shared/errors.ts'
import { readPolicyFile } from '../processes/runtime.ts'
import { type Examine, failed, type Finding, ok, type CheckContext, warning } from './finding.ts'
import { isPrivateHost } from './private-host.ts'

export const examineConfiguration: Examine = (context) => {
  const faults = context.faults.map(({ text }) =>
    failed(
      text,
      'Put it right in the environment (or the file .env) of every process; the README describes each name.',
    ),
  )
  const found = [...faults, ...policyFaults(context), ...oddities(context)]
  return found.length > 0 ? found : [ok('Every setting is there and makes sense')]
}

function policyFaults({ config }: CheckContext): Finding[] {
  try {
    createRetryPolicy(readPolicyFile(config.retryPolicyFile), config.retryDelayScale)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return [failed(error.message, 'Correct RETRY_POLICY_FILE; sms-retry policy shows what is in force.')]
  }
}

const AUTH_TOKEN = /^[0-9a-f]{32}$/i

/** `openssl rand -hex 8` makes this many. */
const MIN_SECRET_LENGTH = 16

/** Messages reach people; with a simulator, much is as it should be that is a fault otherwise. */
export const reachesPeople = ({ config }: CheckContext): boolean =>
  config.isProduction || config.twilio.apiBaseUrl === null

function oddities(context: CheckContext): Finding[] {
  const { twilio, publicBaseUrl, retryDelayScale, database, isProduction, dashboard, metricsToken } =
    context.config
  const isEarnest = reachesPeople(context)
  const found: Finding[] = []
  const note = (isOdd: boolean, what: string, fix: string): void => {
    if (isOdd) found.push(warning(what, fix))
  }
  note(
    twilio.apiBaseUrl !== null,
    'TWILIO_API_BASE_URL is set: messages go there, and not to Twilio',
    'Leave it out to use Twilio itself.',
  )
  note(
    isEarnest && !isProduction,
    'NODE_ENV is not production',
    'Set NODE_ENV=production where real messages are sent: logs are JSON then, and no simulator is taken for Twilio.',
  )
  const url = publicBaseUrl === '' ? null : new URL(publicBaseUrl)
  note(
    isEarnest && url !== null && isPrivateHost(url.hostname),
    'PUBLIC_BASE_URL is an address that Twilio cannot reach',
    'Set it to the address at which the Internet reaches sms-retry web; Twilio refuses messages with code 21609 otherwise.',
  )
  note(
    isEarnest && url !== null && url.protocol !== 'https:',
    'PUBLIC_BASE_URL is not https: phone numbers travel in clear text',
    'Put TLS in front of sms-retry web, and set PUBLIC_BASE_URL to its https address.',
  )
  note(
    isEarnest && retryDelayScale !== 1,
    `RETRY_DELAY_SCALE is ${retryDelayScale}: every delay and waiting time is multiplied by it`,
    'Leave it out where real messages are sent; RETRY_POLICY_FILE changes the delays of single codes.',
  )
  note(
    database.poolMax < 3,
    `DATABASE_POOL_MAX is ${database.poolMax}: status callbacks wait for each other's transactions`,
    'Set it to 3 or more, or leave it out (5).',
  )
  // Also beside a simulator: what they open, and who can reach it, has nothing to do with Twilio.
  for (const [name, secret] of [
    ['DASHBOARD_PASSWORD', dashboard.credentials?.password ?? null],
    ['METRICS_TOKEN', metricsToken],
  ] as const) {
    note(
      secret !== null && secret.length < MIN_SECRET_LENGTH,
      `${name} has fewer than ${MIN_SECRET_LENGTH} characters: it can be guessed`,
      'Set it to a random one, such as the output of: openssl rand -hex 32',
    )
  }
  for (const [i, token] of twilio.authTokens.entries()) {
    note(
      isEarnest && !AUTH_TOKEN.test(token),
      `${nameOfToken(i, twilio.authTokens.length)} does not look like one: Twilio's are 32 hexadecimal digits`,
      'Copy it from the Twilio console once more, without quotes.',
    )
  }
  return found
}

/** For a person; the first is 1. */
export function nameOfToken(index: number, count: number): string {
  return count === 1 ? 'TWILIO_AUTH_TOKEN' : `Token ${index + 1} of TWILIO_AUTH_TOKEN`
}
