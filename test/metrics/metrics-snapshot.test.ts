// Tests adding up the metrics of several processes.
import { expect, test } from '@jest/globals'
import {
  gauge,
  minus,
  type Snapshot,
  sum,
  toText,
  withoutGauges,
} from '../../src/metrics/metrics-snapshot.ts'
import { POLICY } from '../delivery/build-message.ts'
import { newMetrics, seriesOf } from '../support/metrics.ts'

async function snapshotWith(callbacks: number, lists: readonly number[]): Promise<Snapshot> {
  const metrics = newMetrics(POLICY)
  metrics.callbacks.recorded.inc(callbacks)
  for (const list of lists) metrics.batched(list)
  // As it is read from the database.
  return JSON.parse(JSON.stringify(await metrics.snapshot()))
}

const RECORDED = 'sms_retry_callbacks_total{result="recorded"}'

test('counters and histograms of several processes are added up', async () => {
  const series = seriesOf(await toText([await snapshotWith(2, [1]), await snapshotWith(3, [4, 40])]))
  expect(series.get(RECORDED)).toBe(5)
  expect(series.get('sms_retry_batch_size_count')).toBe(3)
  expect(series.get('sms_retry_batch_size_sum')).toBe(45)
  expect(series.get('sms_retry_batch_size_bucket{le="1"}')).toBe(1)
  expect(series.get('sms_retry_batch_size_bucket{le="5"}')).toBe(2)
  expect(series.get('sms_retry_batch_size_bucket{le="+Inf"}')).toBe(3)
})

test('a series that only one process has is kept', async () => {
  const own = gauge('sms_retry_own', 'Own.', [{ value: 7, labels: { code: '30003' } }])
  const series = seriesOf(await toText([await snapshotWith(1, []), [own]]))
  expect(series.get('sms_retry_own{code="30003"}')).toBe(7)
  expect(series.get(RECORDED)).toBe(1)
})

test('a sum can be added to, and a summand subtracted again', async () => {
  const [one, other] = [await snapshotWith(2, [1]), await snapshotWith(3, [4])]
  const both = await sum([one, other])
  expect(await minus(both, other)).toEqual(await minus(one, []))
  expect(await sum([both, []])).toEqual(both)
})

test('counters and histograms of an exited process are kept, but not its gauges', async () => {
  const left = withoutGauges(await snapshotWith(1, [1]))
  expect(left.map(({ name }) => name)).toContain('sms_retry_batch_size')
  expect(left.map(({ name }) => name)).not.toContain('sms_retry_pool_connections')
})

test('no snapshots give an empty text', async () => {
  expect((await toText([])).trim()).toBe('')
})
