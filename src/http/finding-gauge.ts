// The findings of delivery/health.ts as a metric, for alert rules.
import type { Finding } from '../delivery/health-finding.ts'
import { gauge, type Snapshot } from '../metrics/metrics-snapshot.ts'

/** One series for each name and severity: several codes can jump at once. Without findings, there is no series. */
export function findingGauge(findings: readonly Finding[]): Snapshot[number] {
  const held = new Map(findings.map(({ name, severity }) => [`${name} ${severity}`, { name, severity }]))
  return gauge(
    'sms_retry_finding',
    'Incidents that hold now, as `sms-retry status` shows them; no series otherwise.',
    [...held.values()].map((labels) => ({ value: 1, labels })),
  )
}
