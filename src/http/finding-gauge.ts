// The findings of delivery/health.ts as a metric, for alert rules.
import { type Finding, FINDING_NAMES } from '../delivery/health-finding.ts'
import { gauge, type Snapshot } from '../metrics/metrics-snapshot.ts'

const SEVERITIES = ['critical', 'warning'] as const satisfies readonly Finding['severity'][]

/** No series if the findings could not be read (null): 0 would say that all is well. */
export function findingGauge(findings: readonly Finding[] | null): Snapshot[number] {
  const values = FINDING_NAMES.flatMap((name) =>
    SEVERITIES.map((severity) => {
      const isHeld = findings?.some((finding) => finding.name === name && finding.severity === severity)
      return { value: isHeld === true ? 1 : 0, labels: { name, severity } }
    }),
  )
  const help = 'Whether an incident holds now, as sms-retry status shows it.'
  return gauge('sms_retry_finding', help, findings === null ? [] : values)
}
