// Is the configuration complete and plausible? Findings name the setting, and never contain a secret.
import { createRetryPolicy } from '../delivery/retry-policy.ts'
import { readPolicyFile } from '../processes/runtime.ts'
import { ConfigError } from '../shared/errors.ts'
import { type CheckContext, type Examine, failed, type Finding, ok, warning } from './finding.ts'
import { isPrivateHost } from './private-host.ts'

export const examineConfiguration: Examine = (context) => {
  const faults = context.faults.map(({ text }) =>
    failed(
      text,
      'Correct it in the environment of every process, or in the file .env. docs/configuration.md describes each setting.',
    ),
  )
  const findings = [
    ...faults,
    ...policyFaults(context),
    ...deploymentWarnings(context),
    ...poolWarnings(context),
    ...secretWarnings(context),
  ]
  const summary = findings.length > 0 ? findings : [ok('The configuration is complete and plausible')]
  return [...summary, ...allowlistFindings(context)]
}

function allowlistFindings({ config: { recipientAllowlist, isProduction } }: CheckContext): Finding[] {
  if (recipientAllowlist === null) return []
  const what = 'RECIPIENT_ALLOWLIST is set: messages to all other recipients are canceled, and not sent'
  return [isProduction ? warning(what, 'Leave it unset in production, to send to everybody.') : ok(what)]
}

function policyFaults({ config }: CheckContext): Finding[] {
  try {
    createRetryPolicy(readPolicyFile(config.retryPolicyFile), config.retryDelayScale)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return [
      failed(
        error.message,
        'Correct the file named by RETRY_POLICY_FILE. sms-retry policy shows the policy in force.',
      ),
    ]
  }
}

/** Whether real people receive the messages. Some settings are safe only with a simulator. */
export const reachesPeople = ({ config }: CheckContext): boolean =>
  config.isProduction || config.twilio.apiBaseUrl === null

/** Warns of a simulator, and of settings that are dangerous where real messages are sent. */
function deploymentWarnings(context: CheckContext): Finding[] {
  const { twilio, publicBaseUrl, retryDelayScale, isProduction } = context.config
  const simulated = warning(
    'TWILIO_API_BASE_URL is set: messages go to that address instead of Twilio',
    'Leave it unset to use Twilio.',
  )
  const findings = twilio.apiBaseUrl === null ? [] : [simulated]
  if (!reachesPeople(context)) return findings
  const warn = (applies: boolean, what: string, fix: string): void => {
    if (applies) findings.push(warning(what, fix))
  }
  warn(
    !isProduction,
    'NODE_ENV is not production',
    'Set NODE_ENV=production where real messages are sent. Logs are then JSON, and a simulator without https is rejected.',
  )
  const url = publicBaseUrl === '' ? null : new URL(publicBaseUrl)
  warn(
    url !== null && isPrivateHost(url.hostname),
    'PUBLIC_BASE_URL is an address that Twilio cannot reach',
    'Set it to the public address of sms-retry web. Otherwise Twilio rejects messages with code 21609.',
  )
  warn(
    url !== null && url.protocol !== 'https:',
    'PUBLIC_BASE_URL is not https: phone numbers are transferred unencrypted',
    'Put TLS in front of sms-retry web, and set PUBLIC_BASE_URL to its https address.',
  )
  warn(
    retryDelayScale !== 1,
    `RETRY_DELAY_SCALE is ${retryDelayScale}: all delays and waiting times are multiplied by it`,
    'Leave it unset where real messages are sent. To change the delays of some codes, use RETRY_POLICY_FILE.',
  )
  for (const [i, token] of twilio.authTokens.entries()) {
    warn(
      !AUTH_TOKEN.test(token),
      `${nameOfToken(i, twilio.authTokens.length)} is not a Twilio auth token, which has 32 hexadecimal digits`,
      'Copy it again from the Twilio console, without quotes.',
    )
  }
  return findings
}

const AUTH_TOKEN = /^[0-9a-f]{32}$/i

function poolWarnings({ config: { database } }: CheckContext): Finding[] {
  if (database.poolMax >= 3) return []
  return [
    warning(
      `DATABASE_POOL_MAX is ${database.poolMax}: status callbacks wait for free connections`,
      'Set it to 3 or more, or leave it unset (5).',
    ),
  ]
}

/** The length of `openssl rand -hex 8`. */
const MIN_SECRET_LENGTH = 16

/** Applies with a simulator, too: dashboard and metrics may still be public. */
function secretWarnings({ config: { dashboard, metricsToken } }: CheckContext): Finding[] {
  const secrets = [
    ['DASHBOARD_PASSWORD', dashboard.credentials?.password ?? null],
    ['METRICS_TOKEN', metricsToken],
  ] as const
  return secrets
    .filter(([, secret]) => secret !== null && secret.length < MIN_SECRET_LENGTH)
    .map(([name]) =>
      warning(
        `${name} has fewer than ${MIN_SECRET_LENGTH} characters and can be guessed`,
        'Set it to a random value, for example the output of: openssl rand -hex 32',
      ),
    )
}

/** Names a token in a finding. The first token is number 1. */
export function nameOfToken(index: number, count: number): string {
  return count === 1 ? 'TWILIO_AUTH_TOKEN' : `Token ${index + 1} of TWILIO_AUTH_TOKEN`
}
