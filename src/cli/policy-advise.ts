// `policy --advise`: the changes that the history supports, as a policy file for stdout or --out. The reasons go to stderr.
import { writeFileSync } from 'node:fs'
import { type Env, parseConfig } from '../config/config.ts'
import { readHistory } from '../db/read-history.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import { readOverrides, type RetryPolicyOverrides, type RuleOverride } from '../delivery/policy-overrides.ts'
import { createRetryPolicy, formatSchedule, type RetryPolicy } from '../delivery/retry-policy.ts'
import type { Rule } from '../delivery/retry-rule.ts'
import { type AdvisedPolicy, advise } from '../evidence/advise.ts'
import type { History } from '../evidence/history.ts'
import { readPolicyFile } from '../processes/runtime.ts'
import { formatGain } from '../shared/estimate-words.ts'
import { count, duration } from '../shared/figures.ts'
import { printJson, printStatus } from '../shared/output.ts'
import { printLeftOut, roundEstimate, roundEstimates } from './policy-evidence.ts'
import { table } from './table.ts'
import { withDatabase } from './with-database.ts'

export async function advisePolicy(
  env: Env,
  { since, json, out }: { readonly since: number; readonly json: boolean; readonly out: string | null },
): Promise<void> {
  const config = parseConfig(env, ['DATABASE_URL'])
  const overrides = readOverrides(readPolicyFile(config.retryPolicyFile) ?? {})
  const policy = createRetryPolicy(overrides, config.retryDelayScale)
  const history = await withDatabase(env, (database) => readHistory(database, since))
  const advice = advise(history, policy)
  const advised = withChanges(overrides, advice)
  // Never overwrites a file: it may be the policy in force.
  if (out !== null) writeFileSync(out, `${JSON.stringify(advised, null, 2)}\n`, { flag: 'wx' })
  if (json) printJson(adviceJson(since, history, advice, advised))
  else if (out === null) printJson(advised)
  if (!json) printStatus(adviceView(since, policy, advice))
  printLeftOut(history)
  if (out !== null)
    printStatus(`Wrote the policy file ${out}. Check it with sms-retry policy --replay ${out}`)
}

/** The overrides in force, with the advised rules. */
function withChanges(overrides: RetryPolicyOverrides, { changes }: AdvisedPolicy): RetryPolicyOverrides {
  const codes = Object.fromEntries(changes.map(({ code, to }) => [code, overrideOf(to)]))
  return { ...overrides, codes: { ...overrides.codes, ...codes } }
}

function overrideOf(rule: Rule): RuleOverride {
  if (rule.action !== 'retry') return rule.action
  const { retries } = rule
  if ('when' in rule) return { retries, when: rule.when }
  if ('after' in rule) return { retries, after: rule.after, timeZone: rule.timeZone }
  if ('periodSeconds' in rule) return { retries, periodSeconds: rule.periodSeconds }
  return { retries, baseDelaySeconds: rule.baseDelaySeconds }
}

/** Stable: keys are added, never renamed. `policy` is the policy file. */
function adviceJson(
  sinceSeconds: number,
  { isComplete, leftOut }: History,
  { changes, unchanged, comparisons }: AdvisedPolicy,
  policy: RetryPolicyOverrides,
): object {
  return {
    sinceSeconds,
    isComplete,
    leftOut,
    comparisons,
    changes: changes.map(({ code, kind, from, to, recovered, retries, segments }) => ({
      code,
      kind,
      from: overrideOf(from),
      to: overrideOf(to),
      ...roundEstimates({ recovered, retries }),
      segments: segments && roundEstimate(segments),
      reason: reasonOf(code),
    })),
    unchanged,
    policy,
  }
}

function adviceView(sinceSeconds: number, policy: RetryPolicy, advice: AdvisedPolicy): string {
  const { changes, unchanged, comparisons } = advice
  const span = `the last ${duration(sinceSeconds)}`
  const rest = `Other codes with retries: ${count(unchanged.length)}. Rules compared: ${count(comparisons)}.`
  if (changes.length === 0) return `The history of ${span} supports no change.\n${rest}`
  const rows = changes.map(({ code, kind, from, to, recovered, retries, segments }) => [
    `${code}`,
    kind,
    scheduleOf(policy, from),
    scheduleOf(policy, to),
    formatGain(recovered),
    formatGain(retries),
    segments === null ? '–' : formatGain(segments),
    reasonOf(code),
  ])
  const head = ['CODE', 'CHANGE', 'NOW AFTER', 'THEN AFTER', 'RECOVERED', 'RETRIES', 'SEGMENTS', 'REASON']
  const note = `The change for the messages of ${span}, with its 90 % interval.`
  return `${table(head, rows)}\n\n${note}\n${rest}`
}

const scheduleOf = (policy: RetryPolicy, rule: Rule): string =>
  formatSchedule(policy, rule, duration) || 'stop'
