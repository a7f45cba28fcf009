// Gauges of one process that are read when a snapshot is taken: its database connections, and how busy its event loop is.
import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import type prom from 'prom-client'
import type { Connections } from '../postgres/connection.ts'

/** @param connections returns the current connection counts of the pool */
export function registerProcessGauges(
  Gauge: typeof prom.Gauge,
  registers: prom.Registry[],
  connections: () => Connections,
): void {
  new Gauge({
    name: 'sms_retry_pool_connections',
    help: 'Database connections of all processes, by state; "waiting" counts requests that wait for one.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(connections())) this.set({ state }, count)
    },
  })
  const utilization = eventLoopUtilization()
  new Gauge({
    name: 'sms_retry_event_loop_utilization',
    help: 'Share of the time in which the event loop was busy, of the busiest process.',
    registers,
    aggregator: 'max',
    collect() {
      this.set(utilization())
    },
  })
}

/** A shorter time says little, and a scrape can follow the regular snapshot within milliseconds. */
const MEASURE_OVER_MS = 5_000

/** Node counts this anyway, so it costs nothing between two snapshots. */
function eventLoopUtilization(): () => number {
  let startedMs = performance.now()
  let start: EventLoopUtilization = performance.eventLoopUtilization()
  let latest = 0
  return () => {
    if (performance.now() - startedMs < MEASURE_OVER_MS) return latest
    const end = performance.eventLoopUtilization()
    latest = performance.eventLoopUtilization(end, start).utilization
    startedMs = performance.now()
    start = end
    return latest
  }
}
