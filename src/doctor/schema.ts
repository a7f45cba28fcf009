// Do table, indexes and queue match this version, and is a worker sending the due attempts?
import { readAccountState } from '../db/account-row.ts'
import { readBacklog } from '../db/backlog.ts'
import { explainTooLargeId, readTooLargeId } from '../db/largest-id.ts'
import { type Column, isWatched, readColumns, readIndexes, readQueueVersion } from '../db/inspect.ts'
import { explainMisplaced, readTableState } from '../db/bookkeeping.ts'
import { USER_ID_TYPES } from '../db/user-id-column.ts'
import { isStopped } from '../delivery/account-state.ts'
import { SchemaError } from '../shared/errors.ts'
import { duration } from '../shared/figures.ts'
import { startQueue } from '../jobs/queue.ts'
import { QUEUE_STOP_TIMEOUT_MS } from '../processes/stop-timeouts.ts'
import { type Examine, failed, type Finding, ok, warning } from './finding.ts'
import { privilegeFaults } from './rights.ts'

const MIGRATE = 'Run: sms-retry migrate'

export const examineMigrations: Examine = async ({ database }) => {
  const state = await readTableState(database)
  switch (state.kind) {
    case 'current':
      return [ok('All migrations are applied')]
    case 'outdated':
      return [failed(`Migrations are missing: ${state.missing.join(', ')}`, MIGRATE)]
    default:
      return [failed(...explainMisplaced(state))]
  }
}

const INTEGER = ['integer', 'bigint']
const TEXT = ['text', 'character varying']
const TIMESTAMP = ['timestamp without time zone', 'timestamp with time zone']

interface ColumnRequirement {
  readonly types: readonly string[]
  /** The minimum length of a text column. */
  readonly length?: number
  /** A new row has no value for it yet. */
  readonly mustBeNullable?: true
}

/** The columns that sms-retry reads or writes. */
const COLUMNS: Readonly<Record<string, ColumnRequirement>> = {
  id: { types: INTEGER },
  user_id: { types: USER_ID_TYPES },
  phone_number: { types: TEXT, length: 16 },
  message_direction: { types: TEXT, length: 8 },
  message_length: { types: INTEGER },
  message_content: { types: TEXT, length: 1600 },
  success: { types: ['boolean'] },
  processing_time_ms: { types: INTEGER, mustBeNullable: true },
  error_message: { types: TEXT, length: 600, mustBeNullable: true },
  sms_metadata: { types: ['jsonb'] },
  created_at: { types: TIMESTAMP },
  retry_count: { types: ['smallint', ...INTEGER] },
  max_retries: { types: ['smallint', ...INTEGER] },
  next_retry_at: { types: TIMESTAMP, mustBeNullable: true },
  twilio_message_sid: { types: TEXT, length: 34, mustBeNullable: true },
  final_status: { types: TEXT, length: 11 },
}

/** The columns that sms-retry sets. */
const WRITTEN = new Set(Object.keys(COLUMNS).filter((name) => name !== 'id'))

export const examineTable: Examine = async ({ database }) => {
  const columns = new Map((await readColumns(database)).map((column) => [column.name, column]))
  if (columns.size === 0) return [failed('There is no table sms_usage_logs', MIGRATE)]
  const findings = Object.keys(COLUMNS).flatMap((name) => columnFaults(name, columns.get(name)))
  for (const { name, isRequired } of columns.values()) {
    if (isRequired && !WRITTEN.has(name)) {
      const what = `Column ${name} is required, and sms-retry does not set it: no message can be inserted`
      findings.push(failed(what, `Give the column ${name} of sms_usage_logs a default.`))
    }
  }
  findings.push(...(await privilegeFaults(database)))
  // Ids can be read only if the column exists and the role may read it.
  const tooLarge = findings.length > 0 ? null : await readTooLargeId(database)
  if (tooLarge !== null) findings.push(failed(...explainTooLargeId(tooLarge)))
  return findings.length > 0 ? findings : [ok('sms_usage_logs has all columns, with suitable types')]
}

function columnFaults(name: string, column: Column | undefined): Finding[] {
  if (column === undefined) return [failed(`sms_usage_logs has no column ${name}`, MIGRATE)]
  const { types, length = 0, mustBeNullable = false } = COLUMNS[name] ?? { types: [] }
  if (!types.includes(column.type)) {
    const what = `Column ${name} has the unsuitable type ${column.type}`
    return [failed(what, `Change the type of the column ${name} of sms_usage_logs to ${types.join(' or ')}.`)]
  }
  if (column.isGenerated && WRITTEN.has(name)) {
    const what = `Column ${name} is generated and cannot be set: no message can be sent`
    return [failed(what, `Replace the column ${name} of sms_usage_logs by an ordinary column.`)]
  }
  if (column.isNotNull && mustBeNullable) {
    const what = `Column ${name} is NOT NULL, but a new row has no value for it: no message can be sent`
    return [failed(what, `Run: alter table sms_usage_logs alter column ${name} drop not null`)]
  }
  if (TEXT.includes(column.type) && column.length !== null && column.length < length) {
    const what = `Column ${name} holds only ${column.length} characters; values have up to ${length}`
    return [
      failed(
        what,
        `Change the type of the column ${name} of sms_usage_logs to ${column.type}(${length}) or text.`,
      ),
    ]
  }
  return []
}

export const examineIndexes: Examine = async ({ database }) => {
  const indexes = await readIndexes(database)
  const findings = indexes.flatMap(({ name, state }) => {
    if (state === 'valid') return []
    if (state === 'being built') return [warning(`Index ${name} is being built`, 'Wait until it is done.')]
    const what = state === 'invalid' ? 'is invalid: its creation was interrupted' : 'is missing'
    return [failed(`Index ${name} ${what}`, `${MIGRATE}. It rebuilds the index without blocking the table.`)]
  })
  return findings.length > 0 ? findings : [ok(`All ${indexes.length} indexes are valid`)]
}

export const examineQueue: Examine = async ({ database }) => {
  try {
    const queue = await startQueue(database, 'schedule', SILENT)
    await queue.stop(QUEUE_STOP_TIMEOUT_MS)
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error
    // The cause alone says what is wrong. The message of the error itself also contains the fix.
    const { message } = error.cause as Error
    return [failed(`The queue is not ready: ${message}`, MIGRATE)]
  }
  const version = await readQueueVersion(database)
  return [ok(`The queues exist (pg-boss schema version ${version})`)]
}

const nothing = (): void => undefined
/** The error contains whatever the queue would log. */
export const SILENT = { error: nothing, warn: nothing, info: nothing, debug: nothing }

/** A worker polls every half second. Only a backlog or SEND_RATE_PER_SECOND delays attempts longer. */
const BACKLOG_AFTER_SECONDS = 60

export const examineBacklog: Examine = async ({ database }) => {
  const { due, oldestDueAt, deferred, now } = await readBacklog(database)
  const seconds = oldestDueAt === null ? 0 : (now.getTime() - oldestDueAt.getTime()) / 1000
  const attempts = `${due} ${due === 1 ? 'attempt is' : 'attempts are'} due now, ${deferred} later`
  if (seconds < BACKLOG_AFTER_SECONDS) return [ok(attempts)]
  const { state } = await readAccountState(database)
  return [
    warning(
      `${attempts}; the oldest has been due for ${duration(seconds)}`,
      isStopped(state)
        ? 'Nothing is sent while sending is on hold or paused: see the check sending.'
        : 'Start sms-retry worker, or more workers. SEND_RATE_PER_SECOND may be too low.',
    ),
  ]
}

export const examineWorker: Examine = async ({ database }) => {
  if (await isWatched(database)) return [ok('A worker is running')]
  return [
    warning(
      'No worker is running: retries and enqueued messages are not sent',
      'Start one or more: sms-retry worker',
    ),
  ]
}
