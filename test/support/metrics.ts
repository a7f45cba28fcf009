// What a process would count, for tests that record events without one; and the series of an exposition.
import type { Connections } from '../../src/postgres/connection.ts'
import type { RetryPolicy } from '../../src/delivery/retry-policy.ts'
import { Metrics } from '../../src/metrics/metrics.ts'

export function newMetrics(
  policy: RetryPolicy,
  connections: Connections = { total: 0, idle: 0, waiting: 0 },
): Metrics {
  return new Metrics(policy, () => connections)
}

/** Series, with their labels as they are written, and their values. */
export function seriesOf(exposition: string): ReadonlyMap<string, number> {
  const lines = exposition.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ')
      return [line.slice(0, end), Number(line.slice(end + 1))] as const
    }),
  )
}
