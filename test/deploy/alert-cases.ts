// Cases for the alert rules: the series of a usual day, and for each alert the series that make it fire.

/** Values in promtool's notation: `0+5x400` starts at 0 and adds 5 every minute, 400 times. */
export type Series = Readonly<Record<string, string>>

export interface AlertCase {
  readonly alert: string
  /** Replaces or adds series of a usual day; null removes one. */
  readonly series: Readonly<Record<string, string | null>>
  /** Labels of the alert besides its severity. */
  readonly labels?: Readonly<Record<string, string>>
  /** The annotations that have figures, as a person gets them. */
  readonly texts?: Readonly<Record<string, string>>
}

export const USUAL: Series = {
  sms_retry_database_up: '1x400',
  'sms_retry_finding{name="no_worker",severity="critical"}': '0x400',
  'sms_retry_instances{role="worker"}': '1x400',
  sms_retry_attempts_due: '3x400',
  sms_retry_oldest_due_age_seconds: '2x400',
  sms_retry_messages_in_doubt: '0x400',
  'sms_retry_hold_age_seconds{kind="hold"}': '0x400',
  'sms_retry_attempt_lateness_seconds_bucket{le="1"}': '0+99x400',
  'sms_retry_attempt_lateness_seconds_bucket{le="60"}': '0+100x400',
  'sms_retry_attempt_lateness_seconds_bucket{le="+Inf"}': '0+100x400',
  'sms_retry_callback_duration_seconds_bucket{le="1"}': '0+100x400',
  'sms_retry_callback_duration_seconds_bucket{le="10"}': '0+100x400',
  'sms_retry_callback_duration_seconds_bucket{le="+Inf"}': '0+100x400',
  'sms_retry_submissions_total{outcome="accepted"}': '0+100x400',
  'sms_retry_submissions_total{outcome="unknown"}': '0+1x400',
  'sms_retry_outcomes_total{status="delivered",retried="no"}': '0+90x400',
  'sms_retry_outcomes_total{status="delivered",retried="yes"}': '0+8x400',
  'sms_retry_outcomes_total{status="undelivered",retried="yes"}': '0+1x400',
  'sms_retry_outcomes_total{status="canceled",retried="no"}': '0+500x400',
  'sms_retry_failures_total{code="30003"}': '0+1x400',
  'sms_retry_callbacks_total{result="recorded"}': '0+100x400',
  'sms_retry_callbacks_total{result="not_recorded"}': '0x400',
  'sms_retry_callbacks_total{result="bad_signature"}': '0+1x400',
  'sms_retry_outcome_deliveries_total{result="delivered"}': '0+90x400',
  'sms_retry_outcome_deliveries_total{result="failed"}': '0+5x400',
  'sms_retry_open_outcomes{state="waiting"}': '12x400',
  'sms_retry_open_outcomes{state="failed"}': '0x400',
  'sms_retry_pool_connections{state="waiting"}': '0x400',
  'sms_retry_pool_connections{state="total"}': '10x400',
  sms_retry_event_loop_utilization: '0.4x400',
}

export const CASES: readonly AlertCase[] = [
  {
    alert: 'SmsFindingCritical',
    series: {
      'sms_retry_finding{name="no_worker",severity="critical"}': '1x400',
      'sms_retry_instances{role="worker"}': '0x400',
      sms_retry_oldest_due_age_seconds: '300x400',
    },
    labels: { name: 'no_worker' },
    texts: {
      summary: 'sms-retry has a critical finding: no_worker',
      description:
        'Finding: no_worker. Workers: 0. Attempts due: 3. Oldest due for: 5m 0s. Messages in doubt: 0. ' +
        'Sending stopped for: 0s. Outcomes that failed: 0.',
      runbook: 'docs/incidents.md#no_worker',
    },
  },
  {
    alert: 'SmsFindingWarning',
    series: {
      'sms_retry_finding{name="outcomes_failed",severity="warning"}': '1x400',
      'sms_retry_open_outcomes{state="failed"}': '7x400',
    },
    labels: { name: 'outcomes_failed' },
    texts: {
      summary: 'sms-retry has a finding: outcomes_failed',
      description:
        'Finding: outcomes_failed. Workers: 1. Attempts due: 3. Oldest due for: 2s. Messages in doubt: 0. ' +
        'Sending stopped for: 0s. Outcomes that failed: 7.',
      runbook: 'docs/incidents.md#outcomes_failed',
    },
  },
  {
    alert: 'SmsIncidentsUnknown',
    series: { 'sms_retry_finding{name="no_worker",severity="critical"}': null },
  },
  { alert: 'SmsMetricsMissing', series: { sms_retry_database_up: null } },
  {
    alert: 'SmsDatabaseDown',
    series: { sms_retry_database_up: '0x400', 'sms_retry_pool_connections{state="waiting"}': '4x400' },
    texts: {
      description:
        'Callbacks are answered with 503, and nothing is sent. Work that waits for a connection: 4.',
    },
  },
  {
    alert: 'SmsAttemptsLate',
    series: { 'sms_retry_attempt_lateness_seconds_bucket{le="1"}': '0+50x400' },
    texts: { description: 'One attempt in a hundred is at least 58.82s late. Attempts due now: 3.' },
  },
  {
    alert: 'SmsTwilioTroubled',
    series: { 'sms_retry_submissions_total{outcome="unknown"}': '0+25x400' },
    texts: {
      description:
        '20% of the requests to Twilio were not processed (429, no connection) or got no usable answer.',
    },
  },
  {
    alert: 'SmsDeliveredShareLow',
    series: {
      'sms_retry_outcomes_total{status="delivered",retried="no"}': '0+52x400',
      'sms_retry_outcomes_total{status="undelivered",retried="yes"}': '0+40x400',
      'sms_retry_failures_total{code="30003"}': '0+38x400',
      'sms_retry_failures_total{code="30007"}': '0+2x400',
    },
    texts: {
      description:
        'Only 60% of the messages of the last hour were delivered. Most failures by code: 30003 (2280) 30007 (120) ',
    },
  },
  {
    alert: 'SmsCodeShareHigh',
    series: { 'sms_retry_failures_total{code="30034"}': '0+33x400' },
    labels: { code: '30034' },
    texts: {
      summary: 'Twilio error 30034 loses many messages',
      description: '33.33% of the messages of the last hour failed for good with 30034.',
      action:
        'Look the code up in docs/error-codes.md, and list the messages: sms-retry list --status failed-for-good --code 30034 --since 1h',
    },
  },
  {
    alert: 'SmsRetrySuccessLow',
    series: {
      'sms_retry_outcomes_total{status="delivered",retried="yes"}': '0+2x400',
      'sms_retry_outcomes_total{status="undelivered",retried="yes"}': '0+6x400',
    },
    texts: { description: 'Only 25% of the retried messages of the last 6 hours were delivered.' },
  },
  {
    alert: 'SmsCallbacksNotRecorded',
    series: { 'sms_retry_callbacks_total{result="not_recorded"}': '0+3x400' },
    texts: { description: '30 callbacks in 10 minutes were not recorded: not_recorded (30) ' },
  },
  {
    alert: 'SmsCallbacksSlow',
    series: { 'sms_retry_callback_duration_seconds_bucket{le="1"}': '0+90x400' },
    texts: { description: 'One callback in a hundred takes at least 9.1s. Twilio gives up after 15 s.' },
  },
  {
    alert: 'SmsBadSignatures',
    series: { 'sms_retry_callbacks_total{result="bad_signature"}': '0+5x400' },
    texts: {
      description:
        '50 status callbacks in 10 minutes had an invalid signature. Recorded in the same time: 1k.',
    },
  },
  {
    alert: 'SmsOutcomesFailing',
    series: { 'sms_retry_outcome_deliveries_total{result="failed"}': '0+210x400' },
    texts: { description: '70% of the deliveries of outcomes failed. Outcomes that wait: 12.' },
  },
  {
    alert: 'SmsOutcomesLate',
    series: { 'sms_retry_open_outcomes{state="waiting"}': '1500x400' },
    texts: { description: '1500 outcomes wait for their delivery.' },
  },
  {
    alert: 'SmsPoolExhausted',
    series: { 'sms_retry_pool_connections{state="waiting"}': '6x400' },
    texts: {
      description: '6 pieces of work have been waiting for one of 10 connections, for 10 minutes.',
    },
  },
  {
    alert: 'SmsProcessBusy',
    series: { sms_retry_event_loop_utilization: '0.95x400' },
    texts: { description: 'The event loop of the busiest process is busy for 95% of the time.' },
  },
]
