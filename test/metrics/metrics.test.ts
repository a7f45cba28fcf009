// Tests what is counted, and that the number of series is bounded whatever Twilio sends.
import { describe, expect, test } from '@jest/globals'
import { ERROR_CODES } from '../../src/delivery/error-codes.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import type { Answer, Event, Message } from '../../src/delivery/message.ts'
import { decide } from '../../src/delivery/decide.ts'
import { gauge, type Snapshot, toText, withoutGauges } from '../../src/metrics/metrics-snapshot.ts'
import {
  buildAttempt,
  buildMessage,
  callback,
  context,
  POLICY,
  secondsFromNow,
} from '../delivery/build-message.ts'
import { newMetrics, seriesOf } from '../support/metrics.ts'

/** The series that are not zero, without histogram buckets and gauges. */
async function counted(metrics: ReturnType<typeof newMetrics>): Promise<Record<string, number>> {
  const series = seriesOf(await toText([withoutGauges(await metrics.snapshot())]))
  return Object.fromEntries([...series].filter(([name, value]) => value !== 0 && !name.includes('_bucket{')))
}

function afterEvents(before: Message, ...events: Event[]): ReturnType<typeof counted> {
  const metrics = newMetrics(POLICY)
  let message = before
  for (const event of events) {
    const decision = decide(message, event, context())
    metrics.decided(message, decision)
    if (decision.kind !== 'ignore') message = decision.message
  }
  return counted(metrics)
}

const sent = (fields: Partial<Message> = {}): Message =>
  buildMessage('sent', [buildAttempt(0, 'sent')], fields)
const retried = (): Message =>
  buildMessage('sent', [buildAttempt(0, 'undelivered', { errorCode: 30003 }), buildAttempt(1, 'sent')])
const retriedTwice = (): Message =>
  buildMessage('sent', [
    buildAttempt(0, 'undelivered', { errorCode: 30003 }),
    buildAttempt(1, 'undelivered', { errorCode: 30003 }),
    buildAttempt(2, 'sent'),
  ])

describe('a decision is counted:', () => {
  test.each<[what: string, message: Message, events: Event[], expected: Record<string, number>]>([
    ['progress is no outcome', sent(), [callback('sent')], {}],
    [
      'a delivery, and how long it took since the message was created',
      sent({ createdAt: secondsFromNow(-90) }),
      [callback('delivered')],
      {
        'sms_retry_outcomes_total{status="delivered",retried="no"}': 1,
        sms_retry_delivery_duration_seconds_sum: 90,
        sms_retry_delivery_duration_seconds_count: 1,
      },
    ],
    [
      'told twice, it is counted once',
      retried(),
      [callback('delivered', null, 1), callback('delivered', null, 1)],
      {
        'sms_retry_outcomes_total{status="delivered",retried="yes"}': 1,
        sms_retry_delivery_duration_seconds_sum: 60,
        sms_retry_delivery_duration_seconds_count: 1,
      },
    ],
    [
      'read after delivered is another status, but no other delivery',
      sent(),
      [callback('delivered'), callback('read')],
      {
        'sms_retry_outcomes_total{status="delivered",retried="no"}': 1,
        'sms_retry_outcomes_total{status="read",retried="no"}': 1,
        sms_retry_delivery_duration_seconds_sum: 60,
        sms_retry_delivery_duration_seconds_count: 1,
      },
    ],
    [
      'a failure that is retried is no outcome',
      sent(),
      [callback('undelivered', 30003)],
      { 'sms_retry_retries_scheduled_total{code="30003"}': 1 },
    ],
    [
      'a failure for good',
      sent(),
      [callback('undelivered', 30007)],
      {
        'sms_retry_outcomes_total{status="undelivered",retried="no"}': 1,
        'sms_retry_failures_total{code="30007"}': 1,
      },
    ],
    [
      'a failure for good that a later callback reports as another one counts once as a failure',
      sent(),
      [callback('undelivered', 30007), callback('failed', 30007)],
      {
        'sms_retry_outcomes_total{status="undelivered",retried="no"}': 1,
        'sms_retry_outcomes_total{status="failed",retried="no"}': 1,
        'sms_retry_failures_total{code="30007"}': 1,
      },
    ],
    [
      'the last retry failed: the code of the latest failure counts',
      retriedTwice(),
      [callback('undelivered', 30005, 2)],
      {
        'sms_retry_outcomes_total{status="undelivered",retried="yes"}': 1,
        'sms_retry_failures_total{code="30005"}': 1,
      },
    ],
    [
      'a message that expires before its retry counts by the code of its failure',
      sent({ deadline: secondsFromNow(5) }),
      [callback('undelivered', 30003)],
      {
        'sms_retry_outcomes_total{status="expired",retried="no"}': 1,
        'sms_retry_failures_total{code="30003"}': 1,
      },
    ],
    [
      'a failure without a code',
      sent(),
      [callback('failed')],
      { 'sms_retry_retries_scheduled_total{code="none"}': 1 },
    ],
    [
      'an attempt that is put off is no further retry',
      buildMessage('submitting', [buildAttempt(0, 'submitting')]),
      [
        {
          kind: 'answer',
          attempt: 0,
          claimedAt: secondsFromNow(-60),
          answer: { outcome: 'not_processed', reason: 'x', retryAfterSeconds: null },
          processingTimeMs: 1,
        },
      ],
      {},
    ],
    [
      'a cancel',
      buildMessage('pending', [buildAttempt(0, 'pending')]),
      [{ kind: 'cancel' }],
      { 'sms_retry_outcomes_total{status="canceled",retried="no"}': 1 },
    ],
  ])('%s', async (_what, message, events, expected) => {
    expect(await afterEvents(message, ...events)).toEqual(expected)
  })
})

describe('requests to Twilio', () => {
  const refused = (errorCode: number | null): Answer => ({ outcome: 'rejected', errorCode, errorText: 'x' })

  test.each<[answer: Answer, errorClass: string]>([
    [{ outcome: 'accepted', sid: 'x', status: 'queued', errorCode: null, errorText: null }, 'none'],
    [refused(21611), 'retryable'],
    [refused(21211), 'permanent'],
    [refused(29999), 'unlisted'],
    [refused(null), 'unlisted'],
    [{ outcome: 'not_processed', reason: 'x', retryAfterSeconds: null }, 'not_processed'],
    [{ outcome: 'unknown', reason: 'x' }, 'unknown'],
  ])('with the answer %j have the error class %s', async (answer, errorClass) => {
    const metrics = newMetrics(POLICY)
    metrics.submitted(answer, 250)
    expect(await counted(metrics)).toEqual({
      [`sms_retry_submissions_total{outcome="${answer.outcome}",error_class="${errorClass}"}`]: 1,
      sms_retry_submission_duration_seconds_sum: 0.25,
      sms_retry_submission_duration_seconds_count: 1,
    })
  })

  test('have an error class by the current policy', async () => {
    const metrics = newMetrics(
      createRetryPolicy({ codes: { '29999': 'stop', '21211': { retries: 1, baseDelaySeconds: 9 } } }),
    )
    metrics.submitted(refused(29999), 0)
    metrics.submitted(refused(21211), 0)
    expect(await counted(metrics)).toMatchObject({
      'sms_retry_submissions_total{outcome="rejected",error_class="permanent"}': 1,
      'sms_retry_submissions_total{outcome="rejected",error_class="retryable"}': 1,
    })
  })
})

test.each<[what: string, fields: Partial<Message>, seconds: number]>([
  ['a retry, from the time it was due', { nextRetryAt: secondsFromNow(-2) }, 2],
  [
    'a first attempt, from the creation of the message',
    { nextRetryAt: null, createdAt: secondsFromNow(-3) },
    3,
  ],
  ['never negative, whatever the clocks say', { nextRetryAt: secondsFromNow(2) }, 0],
])('the lateness of an attempt is observed: %s', async (_what, fields, seconds) => {
  const metrics = newMetrics(POLICY)
  metrics.claimed(sent(fields), secondsFromNow(0))
  expect(await counted(metrics)).toEqual({
    ...(seconds === 0 ? {} : { sms_retry_attempt_lateness_seconds_sum: seconds }),
    sms_retry_attempt_lateness_seconds_count: 1,
  })
})

test('every series except those of error codes exists from the start, so that Prometheus sees its first increase', async () => {
  const metrics = newMetrics(POLICY)
  const atStart = seriesOf(await toText([await metrics.snapshot()]))
  expect(atStart.get('sms_retry_callbacks_total{result="bad_signature"}')).toBe(0)
  metrics.callbacks.bad_signature.inc()
  metrics.reconciled.absent.inc()
  metrics.submitted({ outcome: 'unknown', reason: 'x' }, 1)
  metrics.decided(sent(), decide(sent(), callback('delivered'), context()))
  const later = seriesOf(await toText([await metrics.snapshot()]))
  expect([...later.keys()]).toEqual([...atStart.keys()])
})

test('error codes that the policy does not have share one series', async () => {
  const metrics = newMetrics(POLICY)
  const last = (): Message => sent({ maxRetries: 0 })
  for (let code = 39_000; code < 39_500; code += 1) {
    metrics.decided(sent(), decide(sent(), callback('undelivered', code), context()))
    metrics.decided(last(), decide(last(), callback('undelivered', code), context()))
  }
  expect(await counted(metrics)).toEqual({
    'sms_retry_retries_scheduled_total{code="other"}': 500,
    'sms_retry_outcomes_total{status="undelivered",retried="no"}': 500,
    'sms_retry_failures_total{code="other"}': 500,
  })
})

test('every code of the catalogue that can end a message has its own series of failures', async () => {
  const metrics = newMetrics(POLICY)
  // With a hold, the attempt waits for the account.
  const codes = Object.keys(ERROR_CODES).filter((code) => ERROR_CODES[Number(code)]?.rule.action !== 'hold')
  for (const code of codes) {
    const message = sent({ maxRetries: 0 })
    metrics.decided(message, decide(message, callback('undelivered', Number(code)), context()))
  }
  const failures = Object.keys(await counted(metrics)).filter((name) => name.includes('failures_total'))
  expect(failures.toSorted()).toEqual(
    codes.map((code) => `sms_retry_failures_total{code="${code}"}`).toSorted(),
  )
})

test.each<[status: 'expired' | 'canceled', failures: number | undefined]>([
  ['expired', 1],
  ['canceled', undefined],
])('a message that is never sent and becomes %s counts as %s failures', async (status, failures) => {
  const metrics = newMetrics(POLICY)
  metrics.neverSent(status)
  expect((await counted(metrics))['sms_retry_failures_total{code="none"}']).toBe(failures)
})

test('the busiest process decides the utilization of the event loops', async () => {
  const busy = (value: number): Snapshot => [
    { ...gauge('sms_retry_event_loop_utilization', 'Busy.', [{ value, labels: {} }]), aggregator: 'max' },
  ]
  const [own] = (await newMetrics(POLICY).snapshot()).filter(({ name }) => name.includes('event_loop'))
  expect(own?.aggregator).toBe('max')
  const series = seriesOf(await toText([busy(0.2), busy(0.9), busy(0.4)]))
  expect(series.get('sms_retry_event_loop_utilization')).toBe(0.9)
})

test('names and help texts of metrics follow the conventions', async () => {
  const text = await toText([await newMetrics(POLICY).snapshot()])
  const types = [...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type])
  expect(types.length).toBeGreaterThan(8)
  for (const [name, type] of types) {
    expect(name).toMatch(/^sms_retry_[a-z_]+$/)
    expect(name?.endsWith('_total')).toBe(type === 'counter')
    expect(text).toMatch(new RegExp(`^# HELP ${name} [A-Z].*\\.$`, 'm'))
  }
})

test('two runtimes in one process count separately, and do not use the global registry', async () => {
  const [one, other] = [newMetrics(POLICY), newMetrics(POLICY)]
  one.callbacks.recorded.inc()
  expect(await counted(other)).toEqual({})
  const { register } = await import('prom-client')
  expect(await register.getMetricsAsJSON()).toEqual([])
})
