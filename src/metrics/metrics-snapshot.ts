// What a registry held at one moment, in the form in which prom-client's own cluster support passes it between
// processes: as JSON. Snapshots of several processes are added up here, and written as Prometheus reads them.
import { createRequire } from 'node:module'
import type prom from 'prom-client'

/** When it is first needed: with the OpenTelemetry interface that it brings along, it is half as much code as Express. */
export const loadPromClient = (): typeof prom => createRequire(import.meta.url)('prom-client')

export interface MetricSnapshot {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly aggregator: prom.Aggregator
  readonly values: readonly {
    readonly value: number
    readonly labels: Readonly<Record<string, string | number>>
    /** Of a histogram: its name with `_bucket`, `_sum` or `_count`. */
    readonly metricName?: string
  }[]
}

export type Snapshot = readonly MetricSnapshot[]

export async function takeSnapshot(registry: prom.Registry): Promise<Snapshot> {
  // The package's types have an enum for the type of a metric, where its code has a word.
  return (await registry.getMetricsAsJSON()) as unknown as Snapshot
}

/** Series of the same name and labels are added up. */
export function sum(snapshots: readonly Snapshot[]): Promise<Snapshot> {
  return takeSnapshot(aggregate(snapshots))
}

/** What was counted since `base`. */
export function minus(snapshot: Snapshot, base: Snapshot): Promise<Snapshot> {
  const negative = base.map((metric) => ({
    ...metric,
    values: metric.values.map((each) => ({ ...each, value: -each.value })),
  }))
  return sum([snapshot, negative])
}

/** Of a process that is gone: what it counted stays true, what it measured last does not. */
export function withoutGauges(snapshot: Snapshot): Snapshot {
  return snapshot.filter(({ type }) => type !== 'gauge')
}

export function gauge(name: string, help: string, values: MetricSnapshot['values']): MetricSnapshot {
  return { name, help, type: 'gauge', aggregator: 'sum', values }
}

/** In Prometheus' text format. */
export function toText(snapshots: readonly Snapshot[]): Promise<string> {
  return aggregate(snapshots).metrics()
}

function aggregate(snapshots: readonly Snapshot[]): prom.Registry {
  return loadPromClient().AggregatorRegistry.aggregate<prom.PrometheusContentType>([...snapshots])
}
