// Is there an incident, and what is to do? Turns figures of the database into findings, the critical ones first. The banner
// of the dashboard, `sms-retry status` and /metrics show the same findings. docs/incidents.md explains each of them.
import { count, share } from '../shared/figures.ts'
import { agreementFindings } from './agreement-findings.ts'
import { callbackFindings } from './callback-findings.ts'
import { type CodeJump, findJumps } from './code-jump.ts'
import { reasonOf } from './error-codes.ts'
import { type Finding, type HealthFigures, MAX_COUNTED_OUTCOMES } from './health-finding.ts'
import {
  accountFindings,
  inDoubtFindings,
  overdueFindings,
  queueFindings,
  workerFindings,
} from './sending-findings.ts'

export type { Finding, FindingName, HealthFigures } from './health-finding.ts'

/** From this share of all messages on, a code that jumped is critical. */
const CRITICAL_SHARE = 0.1

export function findingsOf(figures: HealthFigures): readonly Finding[] {
  const findings = [
    ...workerFindings(figures),
    ...queueFindings(figures),
    ...accountFindings(figures),
    ...overdueFindings(figures),
    ...inDoubtFindings(figures),
    ...callbackFindings(figures),
    ...findJumps(figures.codes).map(jumpFinding),
    ...outcomeFindings(figures),
    ...agreementFindings(figures),
  ]
  const isCritical = ({ severity }: Finding): number => (severity === 'critical' ? 0 : 1)
  return findings.toSorted((one, other) => isCritical(one) - isCritical(other))
}

function jumpFinding({ code, hours, failed, share: part, usualShare }: CodeJump): Finding {
  const within = hours === 1 ? 'the last hour' : `the last ${hours} hours`
  return {
    name: 'code_jumped',
    severity: part >= CRITICAL_SHARE ? 'critical' : 'warning',
    sentence:
      `${code} (${reasonOf(code)}): ${share(part, 1)} of the messages of ${within} failed with it, ` +
      `${share(usualShare, 1)} in the week before (${count(failed)} failures seen)`,
    advice:
      'Open the page of the code: it shows which recipients and senders are affected, and what the policy does.',
    path: `/error-codes/${code}`,
  }
}

function outcomeFindings({ queue: { failedOutcomes } }: HealthFigures): Finding[] {
  if (failedOutcomes === 0) return []
  const many =
    failedOutcomes >= MAX_COUNTED_OUTCOMES ? `${count(failedOutcomes)} or more` : count(failedOutcomes)
  return [
    {
      name: 'outcomes_failed',
      severity: 'warning',
      sentence: `${many} ${failedOutcomes === 1 ? 'outcome' : 'outcomes'} failed all deliveries to the app`,
      advice:
        'To see why, run: sms-retry outcomes --failed. Then fix the receiver, and run: sms-retry outcomes --redeliver',
      path: '/queue/outcomes',
    },
  ]
}
