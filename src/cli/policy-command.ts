// The command `policy`: the retry policy in force, as a table for people and as JSON with stable keys. With --replay or
// --advise, it judges a policy by the history (policy-replay.ts, policy-advise.ts).
import { type Env, parseConfig, type SendWindowConfig } from '../config/config.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import {
  CLOCK_SPREAD_SECONDS,
  createRetryPolicy,
  formatSchedule,
  type RetryPolicy,
  retryDelaySeconds,
  scheduleOf,
} from '../delivery/retry-policy.ts'
import type { Rule } from '../delivery/retry-rule.ts'
import { DEFAULT_WINDOW } from '../delivery/message-window.ts'
import { formatSendWindow } from '../delivery/send-window.ts'
import { readPolicyFile } from '../processes/runtime.ts'
import { duration } from '../shared/figures.ts'
import { print, printJson } from '../shared/output.ts'
import { refuseUsage } from './arguments.ts'
import { formatMinute } from './format-time.ts'
import { advisePolicy } from './policy-advise.ts'
import { replayPolicy } from './policy-replay.ts'
import { table } from './table.ts'

interface PolicyFlags {
  readonly json?: true
  readonly replay?: string
  readonly advise?: true
  readonly since?: number
  readonly out?: string
}

const MONTH_SECONDS = 30 * 24 * 3600

export async function policyCommand(env: Env, flags: PolicyFlags): Promise<void> {
  const { replay, advise, out } = flags
  if (out !== undefined && !advise) refuseUsage('--out is for --advise')
  if (flags.since !== undefined && replay === undefined && !advise)
    refuseUsage('--since is for --replay and --advise')
  const [since, json] = [flags.since ?? MONTH_SECONDS, flags.json === true]
  if (replay !== undefined) await replayPolicy(env, replay, { since, json })
  else if (advise) await advisePolicy(env, { since, json, out: out ?? null })
  else showPolicy(env, flags)
}

function showPolicy(env: Env, flags: PolicyFlags): void {
  const config = parseConfig(env, [])
  const policy = createRetryPolicy(readPolicyFile(config.retryPolicyFile), config.retryDelayScale)
  const now = new Date()
  if (flags.json) printJson(policyJson(policy, now))
  else print(policyView(policy, config.sendWindow, now))
}

interface PolicyEntry {
  /** Null stands for every code without an entry of its own. */
  readonly code: number | null
  readonly rule: Rule
  readonly reason: string
}

function entriesOf(policy: RetryPolicy): PolicyEntry[] {
  const codes = [...policy.rules].sort(([one], [other]) => one - other)
  return [
    ...codes.map(([code, rule]) => ({ code, rule, reason: reasonOf(code) })),
    { code: null, rule: policy.unknownCode, reason: 'Every other code, and failures without a code' },
  ]
}

/** @param now the time from which the next retry of a time-of-day rule is computed */
function policyView(policy: RetryPolicy, { hours, timeZone }: SendWindowConfig, now: Date): string {
  const rows = entriesOf(policy).map(({ code, rule, reason }) => [
    code === null ? 'other' : `${code}`,
    rule.action === 'retry' ? `${rule.retries}` : rule.action,
    scheduleCell(policy, rule, now),
    reason,
  ])
  const { jitter, maxDelaySeconds, delayScale } = policy
  const window = hours ?? DEFAULT_WINDOW
  const place = timeZone === 'recipient' ? 'at the recipient' : `in ${timeZone}`
  const notes = [
    `Up to ${Math.round(jitter * 100)} % of random jitter is added to each delay. Back-off delays are at most ${duration(maxDelaySeconds * delayScale)}.`,
    'A failure with a hold rule uses up no retry. Five in a row within a minute put the account on hold (docs/holds.md).',
    `Retries at a time of day start up to ${duration(CLOCK_SPREAD_SECONDS * jitter * delayScale)} after that time.`,
    `The next send window opens at ${window.from} ${place} (${formatSendWindow(window)}${hours === null ? ', because SEND_WINDOW is not set' : ''}).`,
  ]
  return `${table(['CODE', 'RETRIES', 'AFTER', 'REASON'], rows)}\n\n${notes.join('\n')}`
}

function scheduleCell(policy: RetryPolicy, rule: Rule, now: Date): string {
  const schedule = formatSchedule(policy, rule, duration)
  const at = nextTimeOf(policy, rule, now)
  return at === null ? schedule : `${schedule} (next ${formatMinute(at)} UTC)`
}

/** When a retry would be due if the attempt failed now; null for rules that do not name a time of day. */
function nextTimeOf(policy: RetryPolicy, rule: Rule, now: Date): Date | null {
  if (!('after' in rule)) return null
  return new Date(now.getTime() + retryDelaySeconds(policy, rule, 1, now, 0) * 1000)
}

/** Stable: keys are added, never renamed. */
function policyJson(policy: RetryPolicy, now: Date): object {
  return {
    jitter: policy.jitter,
    maxDelaySeconds: policy.maxDelaySeconds,
    delayScale: policy.delayScale,
    codes: entriesOf(policy).map(({ code, rule, reason }) => ({
      code,
      ...rule,
      // Null for a rule with a time of day, which has nextRetryAt instead, with a send window or a hold.
      delaysSeconds: scheduleOf(policy, rule),
      ...('after' in rule ? { nextRetryAt: nextTimeOf(policy, rule, now) } : {}),
      reason,
    })),
  }
}
