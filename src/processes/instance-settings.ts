// The settings that a process reports, for comparison with those of the others. Nothing here is secret: tokens, keys and
// phone numbers are left out, also as a hash.
import { createHash } from 'node:crypto'
import type { Config } from '../config/config.ts'
import type { InstanceSettings } from '../db/instances.ts'
import type { RetryPolicy } from '../delivery/retry-policy.ts'
import type { Rule } from '../delivery/retry-rule.ts'
import { formatSendWindow } from '../delivery/send-window.ts'

/** @param deliversOutcomes whether it delivers outcomes to the app */
export function instanceSettings(
  { outcomes, twilio, sendWindow }: Pick<Config, 'outcomes' | 'twilio' | 'sendWindow'>,
  policy: RetryPolicy,
  deliversOutcomes: boolean,
): InstanceSettings {
  const { accountSid } = twilio
  return {
    outcomeEvents: outcomes.isOn,
    deliversOutcomes,
    policy: fingerprintOf(policy),
    // Some commands need no account.
    ...(accountSid === '' ? {} : { account: `${accountSid.slice(0, 2)}…${accountSid.slice(-6)}` }),
    sendWindow: describeWindow(sendWindow),
  }
}

/** Equal for policies with the same effect, however their file or option is written. */
function fingerprintOf({ rules, unknownCode, jitter, maxDelaySeconds, delayScale }: RetryPolicy): string {
  const fields = (rule: Rule): unknown =>
    Object.entries(rule).toSorted(([one], [other]) => (one < other ? -1 : 1))
  const byCode = [...rules]
    .toSorted(([one], [other]) => one - other)
    .map(([code, rule]) => [code, fields(rule)])
  const content = JSON.stringify([byCode, fields(unknownCode), jitter, maxDelaySeconds, delayScale])
  return createHash('sha256').update(content).digest('hex').slice(0, 12)
}

function describeWindow({ hours, timeZone, fallbackTimeZone }: Config['sendWindow']): string {
  const window = hours === null ? 'none' : formatSendWindow(hours)
  const zone = timeZone === 'recipient' ? '' : ` ${timeZone}`
  return `${window}${zone}${fallbackTimeZone === null ? '' : ` (fallback ${fallbackTimeZone})`}`
}
