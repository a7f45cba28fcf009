// Snapshots of a registry as JSON, in the format of prom-client's cluster support. Adds up the snapshots of several processes
// and writes them in Prometheus' text format.
import { createRequire } from 'node:module'
import type prom from 'prom-client'

/** Loaded on first use: with its OpenTelemetry dependency it is half as much code as Express. */
export const loadPromClient = (): typeof prom => createRequire(import.meta.url)('prom-client')

export interface MetricSnapshot {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly aggregator: prom.Aggregator
  readonly values: readonly {
    readonly value: number
    readonly labels: Readonly<Record<string, string | number>>
    /** For a histogram: its name with `_bucket`, `_sum` or `_count`. */
    readonly metricName?: string
  }[]
}

export type Snapshot = readonly MetricSnapshot[]

export async function takeSnapshot(registry: prom.Registry): Promise<Snapshot> {
  // The package declares the type of a metric as an enum, but returns a string.
  return (await registry.getMetricsAsJSON()) as unknown as Snapshot
}

/** Adds up the series with the same name and labels. */
export function sum(snapshots: readonly Snapshot[]): Promise<Snapshot> {
  return takeSnapshot(aggregate(snapshots))
}

/** The difference to an earlier snapshot `base`. */
export function minus(snapshot: Snapshot, base: Snapshot): Promise<Snapshot> {
  const negative = base.map((metric) => ({
    ...metric,
    values: metric.values.map((each) => ({ ...each, value: -each.value })),
  }))
  return sum([snapshot, negative])
}

/** For an exited process: its counters stay valid, its gauges do not. */
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
