// The public names that scripts and dashboards depend on: the keys of every --json output, and the names and labels of
// the metrics. A name may be added here. Renaming or removing one breaks users. Needs dist/.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startWorld, type World } from '../support/world.ts'
import { runCli, SEND, WORKING_NUMBER } from './run-cli.ts'

const OPTED_OUT = '+15552161001'
const QUEUE_FULL = '+15552161109'
const UNDELIVERED = '+15553000301'
const TOKEN = 'a-token-for-metrics'

let world: World
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'json-contract-'))
  world = await startWorld({ env: { METRICS_TOKEN: TOKEN, RETRY_DELAY_SCALE: '1' } })
  await world.sender.send({ userId: 7, to: UNDELIVERED, body: 'Hello' })
  await world.simulator.idle()
  await world.database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, retry_count, sms_metadata)
     values (7, '+12065550111', 'outbound', 5, 'Hello', 'delivered', 1,
             '{"attempts": [{"number": 0, "status": "undelivered", "error_code": 30003},
                            {"number": 1, "status": "delivered"}]}')`,
  )
})
afterAll(async () => {
  await world.stop()
  await rm(folder, { recursive: true })
})

async function keysOfCommand(...args: string[]): Promise<string[]> {
  const { stdout } = await runCli([...args, '--json'], world.env)
  return keysOf(JSON.parse(stdout))
}

/**
 * Such as `failures.codes[].code`. The keys of `times` and `metadata` are data: the statuses that an attempt went through,
 * and the app's own keys.
 */
function keysOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return unique(value.flatMap((item) => keysOf(item, `${path}[]`)))
  if (typeof value !== 'object' || value === null || /\.times$|\bmetadata$/.test(path)) return [path]
  const prefix = path === '' ? '' : `${path}.`
  return unique(Object.entries(value).flatMap(([key, inner]) => keysOf(inner, prefix + key)))
}

const unique = (names: readonly string[]): string[] => [...new Set(names)].toSorted()

const MESSAGE = unique([
  ...['id', 'userId', 'to', 'body', 'status', 'success', 'reason', 'retryCount', 'maxRetries'],
  ...['nextRetryAt', 'sid', 'deadline', 'processingTimeMs', 'createdAt'],
  ...['sendAfter', 'sendWindow', 'timeZone', 'idempotencyKey', 'metadata'],
  ...[
    ...['number', 'sid', 'status', 'errorCode', 'errorText', 'postponements', 'excused'],
    ...['account', 'sender', 'segments', 'price', 'times'],
  ].map((key) => `attempts[].${key}`),
])
const under = (prefix: string): string[] => MESSAGE.map((key) => `${prefix}${key}`)

test.each([
  ['accepted', WORKING_NUMBER, ['id', 'sid', 'status']],
  ['failed', OPTED_OUT, ['errorCode', 'id', 'reason', 'status']],
  ['retried', QUEUE_FULL, ['errorCode', 'id', 'nextRetryAt', 'status']],
])('send --json has its documented keys for a message that is %s', async (_what, to, keys) => {
  expect(await keysOfCommand(...SEND, to)).toEqual(keys)
})

test('list and show --json have the documented keys of a message', async () => {
  expect(await keysOfCommand('list', '--limit', '1')).toEqual(under('[].'))
  expect(await keysOfCommand('show', '1')).toEqual(MESSAGE)
})

test('retry and cancel --json have their documented keys', async () => {
  const { id } = await world.sender.send({ userId: 7, to: QUEUE_FULL, body: 'Hello' })
  const done = unique(['id', 'outcome', ...under('message.')])
  expect(await keysOfCommand('retry', `${id}`)).toEqual(done)
  expect(await keysOfCommand('retry', `${id}`)).toEqual(unique([...done, 'why']))
  expect(await keysOfCommand('cancel', `${id}`)).toEqual(done)
  expect(await keysOfCommand('cancel', `${id}`)).toEqual(unique([...done, 'why']))
})

test('retry and cancel --json with a filter have their documented keys', async () => {
  await world.sender.send({ userId: 8, to: QUEUE_FULL, body: 'Hello' })
  await world.sender.send({ userId: 8, to: OPTED_OUT, body: 'Hello' })
  const keys = unique([
    ...['action', 'dryRun', 'by', 'since', 'until', 'matched', 'changed', 'failed', 'isComplete'],
    ...['unchanged[].why', 'unchanged[].messages'],
  ])
  expect(await keysOfCommand('retry', '--user', '8', '--dry-run')).toEqual(keys)
  expect(await keysOfCommand('cancel', '--user', '8', '--yes')).toEqual(keys)
})

test('resolve --json has its documented keys', async () => {
  const { id } = await world.sender.send({ userId: 7, to: WORKING_NUMBER, body: 'Hello' })
  const nothing = unique(['id', 'outcome', 'why', ...under('message.')])
  expect(await keysOfCommand('resolve', `${id}`, '--not-sent')).toEqual(nothing)
})

test('outcomes --json has its documented keys', async () => {
  await world.database.query(
    `insert into sms_retry_pgboss.job (name, data, policy, source_name)
     select 'outcome_failed', data, 'standard', 'outcome'
       from (values ('{"id": "a", "type": "message.failed", "message": 1, "status": "failed", "previousStatus": "sent",
                       "errorCode": null, "reason": null, "retryCount": 0, "sid": null,
                       "at": "2026-11-01T12:00:00.000Z", "corrects": null}'::jsonb)) as outcome (data)`,
  )
  expect(await keysOfCommand('outcomes', '--failed')).toEqual(
    unique(
      [
        ...['id', 'type', 'messageId', 'status', 'previousStatus', 'errorCode', 'reason', 'retryCount'],
        ...['sid', 'at', 'failures', 'failure', 'nextAt'],
      ].map((key) => `[].${key}`),
    ),
  )
  expect(await keysOfCommand('outcomes', '--redeliver')).toEqual(['redelivered'])
})

test('stats --json has its documented keys', async () => {
  expect(await keysOfCommand('stats')).toEqual([
    ...['canceled', 'deliveredAtFirst', 'deliveredByRetry', 'failed', 'failedAfterRetry'],
    ...[
      'attempts',
      'code',
      'cost.retries',
      'cost.segments',
      'cost.segmentsPerRecovered',
      'cost.segmentsUnknown',
      'messages',
      'reason',
      'recovered',
      'retries[].delaySeconds',
      'retries[].delivered',
      'retries[].made',
      'retries[].retry',
    ].map((key) => `failures.codes[].${key}`),
    ...[
      'failures.isComplete',
      'inFlight',
      'messages',
      'retried',
      'retries',
      'retrying',
      'segmentPrice',
      'sinceSeconds',
    ],
    ...['isMet', 'name', 'value', 'wanted.above', 'wanted.below'].map((key) => `targets[].${key}`),
  ])
})

test('status --json has its documented keys while sending works, on hold and paused', async () => {
  const counts = ['attemptsDeferred', 'attemptsDue', 'failures.count', 'failures.latestAt']
  expect(await keysOfCommand('status')).toEqual([...counts, 'hold', 'pause', 'state'])
  await world.database.query(
    `update sms_retry.account_state
        set held_since = now(), held_code = 20003, lifted_by = 'accepted', probes = 0, probe_at = now()`,
  )
  await runCli(['pause'], world.env)
  expect(await keysOfCommand('status')).toEqual([
    ...counts,
    ...['advice', 'name', 'path', 'sentence', 'severity'].map((key) => `findings[].${key}`),
    ...['errorCode', 'liftedBy', 'probeAt', 'probes', 'reason', 'since'].map((key) => `hold.${key}`),
    ...['by', 'reason', 'since'].map((key) => `pause.${key}`),
    'state',
  ])
  await runCli(['resume'], world.env)
})

test('policy --json has its documented keys', async () => {
  expect(await keysOfCommand('policy')).toEqual([
    ...['action', 'after', 'baseDelaySeconds', 'code', 'countsTowardsHold', 'delaysSeconds'].map(
      (key) => `codes[].${key}`,
    ),
    ...['delaysSeconds[]', 'nextRetryAt', 'periodSeconds', 'reason', 'retries', 'timeZone', 'when'].map(
      (key) => `codes[].${key}`,
    ),
    ...['delayScale', 'jitter', 'maxDelaySeconds'],
  ])
})

test('policy --replay and --advise --json have their documented keys', async () => {
  // Retries that deliver nothing, often enough for an advice. Their segments are known.
  await world.database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, success,
                                 retry_count, sms_metadata)
     select 7, '+12065550111', 'outbound', 5, 'undelivered', false, 1, $1::jsonb
       from generate_series(1, 600)`,
    [
      `{"attempts": [
          {"number": 0, "status": "undelivered", "error_code": 30004, "segments": 1,
           "times": {"submitting": "2026-06-01T12:00:00.000Z", "undelivered": "2026-06-01T12:00:10.000Z"}},
          {"number": 1, "status": "undelivered", "error_code": 30004,
           "times": {"pending": "2026-06-01T12:00:10.000Z", "submitting": "2026-06-01T12:03:10.000Z",
                     "undelivered": "2026-06-01T12:03:20.000Z"}}]}`,
    ],
  )
  // A code without an advice.
  await world.database.query(
    `update sms_usage_logs set sms_metadata = replace(sms_metadata::text, '30004', '30017')::jsonb
      where id in (select max(id) - n from sms_usage_logs, generate_series(0, 19) as n group by n)`,
  )
  const file = join(folder, 'policy.json')
  await writeFile(file, '{"codes": {"30004": {"retries": 1, "baseDelaySeconds": 180}}}')
  world.env['RETRY_POLICY_FILE'] = file
  const read = [
    'sinceSeconds',
    'isComplete',
    ...['account', 'corrected', 'untimed', 'byHand'].map((key) => `leftOut.${key}`),
  ]
  const estimate = (name: string): string[] => ['estimate', 'low', 'high'].map((key) => `${name}.${key}`)
  const figures = ['retried', 'retries', 'recovered', 'lost']
  const row = [
    'messages',
    ...[...figures, 'open', 'segments', 'unmeasuredRetries', 'segmentsPerRecovered'].map(
      (key) => `happened.${key}`,
    ),
    ...[...figures, 'unknown', 'segments'].flatMap((key) => estimate(`replayed.${key}`)),
    // Null, because these retries recover nothing.
    'replayed.segmentsPerRecovered',
  ]
  // Null for a code whose segments are not known.
  const codes = [...row, 'replayed.segments', 'code', 'reason'].map((key) => `codes[].${key}`)
  expect(await keysOfCommand('policy', '--replay', file)).toEqual(
    unique([...read, ...codes, ...row.map((key) => `total.${key}`), 'segmentPrice']),
  )
  const changes = [
    ...['code', 'kind', 'from.retries', 'from.baseDelaySeconds', 'to', 'reason'],
    ...['recovered', 'retries', 'segments'].flatMap(estimate),
  ].map((key) => `changes[].${key}`)
  expect(await keysOfCommand('policy', '--advise')).toEqual(
    unique([...read, ...changes, 'comparisons', 'unchanged[]', 'policy.codes.30004']),
  )
})

test('reconcile --json has its documented keys', async () => {
  await world.database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, sms_metadata)
     values (7, '+12065550111', 'outbound', 5, 'Hello', 'pending',
             '{"reconcile_at": "2026-01-01T00:00:00.000Z", "attempts": [{"number": 0, "status": "pending"}]}')`,
  )
  expect(await keysOfCommand('reconcile', '--dry-run')).toEqual([
    ...['[].attempt', '[].messageId', '[].plan', '[].status'],
  ])
  expect(await keysOfCommand('reconcile')).toEqual([
    ...['absent', 'answered', 'asked', 'failed', 'leftOut', 'looked', 'rungAgain', 'undecided'],
  ])
})

test('prune --json has its documented keys', async () => {
  expect(await keysOfCommand('prune', '--older-than', '90d', '--dry-run')).toEqual([
    ...['createdBefore', 'dryRun', 'isComplete', 'pruned', 'what'],
  ])
})

test('doctor --json has its documented keys', async () => {
  expect(await keysOfCommand('doctor')).toEqual(['[].mend', '[].name', '[].result', '[].what'])
})

/** Labels whose values are fixed words. The values of others are codes, statuses and numbers. */
const FIXED_LABELS = ['error_class', 'kind', 'outcome', 'result', 'retried', 'state']

const values = (label: string, words: readonly string[]): string =>
  words.map((word) => `${label}=${word}`).join(' ')

test('GET /metrics has its documented names, types and labels', async () => {
  const response = await fetch(`${world.web.url}/metrics`, { headers: { Authorization: `Bearer ${TOKEN}` } })
  const text = await response.text()
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => {
    const series = [...text.matchAll(new RegExp(`^${name}(?:_bucket)?\\{(.*)\\} `, 'gm'))]
    const labels = series.flatMap(([, list = '']) =>
      [...list.matchAll(/(\w+)="(.*?)"/g)].map(([, label = '', value = '']) =>
        FIXED_LABELS.includes(label) ? `${label}=${value}` : label,
      ),
    )
    return [name, type, ...unique(labels)].join(' ')
  })
  expect(types.toSorted()).toEqual([
    'sms_retry_attempt_lateness_seconds histogram le',
    'sms_retry_attempts_deferred gauge',
    'sms_retry_attempts_due gauge',
    'sms_retry_batch_size histogram le',
    'sms_retry_callback_duration_seconds histogram le',
    `sms_retry_callbacks_total counter ${values('result', [
      ...['bad_signature', 'failed', 'ignored', 'not_recorded', 'other_account', 'overloaded', 'recorded'],
      ...['too_large', 'unknown_message', 'unknown_status', 'unreadable', 'wrong_type'],
    ])}`,
    'sms_retry_database_up gauge',
    'sms_retry_delivery_duration_seconds histogram le',
    'sms_retry_event_loop_utilization gauge',
    'sms_retry_failures_total counter code',
    'sms_retry_finding gauge name severity',
    `sms_retry_hold gauge ${values('kind', ['hold', 'pause'])}`,
    `sms_retry_hold_age_seconds gauge ${values('kind', ['hold', 'pause'])}`,
    'sms_retry_instances gauge role',
    'sms_retry_messages gauge status',
    'sms_retry_messages_in_doubt gauge',
    'sms_retry_messages_waiting_for_window gauge',
    'sms_retry_oldest_due_age_seconds gauge',
    `sms_retry_open_outcomes gauge ${values('state', ['failed', 'waiting'])}`,
    `sms_retry_outcome_deliveries_total counter ${values('result', ['delivered', 'failed'])}`,
    `sms_retry_outcomes_total counter ${values('retried', ['no', 'yes'])} status`,
    `sms_retry_pool_connections gauge ${values('state', ['idle', 'total', 'waiting'])}`,
    `sms_retry_reconciled_total counter ${values('result', [
      ...['absent', 'answered', 'failed', 'left_out', 'rung_again', 'undecided'],
    ])}`,
    'sms_retry_retries_scheduled_total counter code',
    'sms_retry_submission_duration_seconds histogram le',
    `sms_retry_submissions_total counter ${values('error_class', [
      ...['none', 'not_processed', 'permanent', 'retryable', 'unknown', 'unlisted'],
    ])} ${values('outcome', ['accepted', 'not_processed', 'rejected', 'unknown'])}`,
  ])
})
