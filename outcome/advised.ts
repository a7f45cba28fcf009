// The default table after `sms-retry policy --advise` on the month before.
import { advise } from '../src/evidence/advise.ts'
import { historyOf } from '../src/evidence/history.ts'
import { createRetryPolicy, type RetryPolicy } from '../src/delivery/retry-policy.ts'
import { play, type PlayedMessage } from './play.ts'
import { type NamedPolicy, patientPolicy } from './policies.ts'
import type { VirtualMessage } from './virtual-month.ts'

/** The advice has no evidence for delays that were never tried. So the second policy is advised after a trial of longer ones. */
const TRIAL_DAYS = 3

export function advisedPolicies(monthBefore: readonly VirtualMessage[]): readonly NamedPolicy[] {
  const failing = monthBefore.filter(({ cause }) => cause !== null)
  const lastMs = Math.max(...failing.map(({ createdAtMs }) => createdAtMs))
  const isTrial = ({ createdAtMs }: VirtualMessage): boolean => lastMs - createdAtMs < TRIAL_DAYS * 86_400_000
  const usual = play(failing, { policy: createRetryPolicy() })
  const trial = play(failing.filter(isTrial), patientPolicy())
  return [
    advisedBy('advised', usual),
    advisedBy('advised after a trial', [...usual.filter(({ truth }) => !isTrial(truth)), ...trial]),
  ]
}

function advisedBy(name: string, played: readonly PlayedMessage[]): NamedPolicy {
  const ours = createRetryPolicy()
  const { changes: advice } = advise(historyOf(played.map(({ message }) => message)), ours)
  const changes = advice.map(({ code, to }) => ({ code, to }))
  return { name, policy: withRules(ours, changes), retries: true, changes }
}

function withRules(policy: RetryPolicy, changes: NonNullable<NamedPolicy['changes']>): RetryPolicy {
  const rules = new Map(policy.rules)
  for (const { code, to } of changes) rules.set(code, to)
  return { ...policy, rules }
}
