// Says in words what the policy does about a failure.
import { formatSchedule, type RetryPolicy, ruleFor } from '../../delivery/retry-policy.ts'
import { duration } from '../../shared/figures.ts'

export function describePolicy(policy: RetryPolicy, code: number | null): string {
  const rule = ruleFor(policy, code)
  if (rule.action === 'stop') return 'no retry'
  if (rule.action === 'hold')
    return 'sent again without using up a retry; five in a row put the account on hold'
  return `${rule.retries} ${rule.retries === 1 ? 'retry' : 'retries'}: after ${formatSchedule(policy, rule, duration)}`
}
