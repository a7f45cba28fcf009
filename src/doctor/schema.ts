// Are table, indexes and queue what this version needs, and does somebody make the attempts that are due?
import { readBacklog } from '../db/backlog.ts'
import { explainTooLargeId, readTooLargeId } from '../db/largest-id.ts'
import { type Column, isWatched, readColumns, readIndexes, readQueueVersion } from '../db/inspect.ts'
import { explainMisplaced, readTableState } from '../db/bookkeeping.ts'
import { SchemaError } from '../shared/errors.ts'
import { duration } from '../shared/figures.ts'
import { startQueue } from '../jobs/queue.ts'
import { type Examine, failed, type Finding, ok, warning } from './finding.ts'
import { faultsOfRights } from './rights.ts'

const MIGRATE = 'Run: sms-retry migrate'

export const examineMigrations: Examine = async ({ database }) => {
  const state = await readTableState(database)
  switch (state.kind) {
    case 'current':
      return [ok('Every migration has been applied')]
    case 'outdated':
      return [failed(`Migrations are missing: ${state.missing.join(', ')}`, MIGRATE)]
    default:
      return [failed(...explainMisplaced(state))]
  }
}

const WHOLE = ['integer', 'bigint']
const TEXT = ['text', 'character varying']
const TIME = ['timestamp without time zone', 'timestamp with time zone']

interface Wanted {
  readonly types: readonly string[]
  /** How long a text must be able to be. */
  readonly length?: number
  /** No insert names it, and it is null while there is nothing to say. */
  readonly isOftenNull?: true
}

/** The columns that are read or written. */
const COLUMNS: Readonly<Record<string, Wanted>> = {
  id: { types: WHOLE },
  user_id: { types: WHOLE },
  phone_number: { types: TEXT, length: 16 },
  message_direction: { types: TEXT, length: 8 },
  message_length: { types: WHOLE },
  message_content: { types: TEXT, length: 1600 },
  success: { types: ['boolean'] },
  processing_time_ms: { types: WHOLE, isOftenNull: true },
  error_message: { types: TEXT, length: 600, isOftenNull: true },
  sms_metadata: { types: ['jsonb'] },
  created_at: { types: TIME },
  retry_count: { types: ['smallint', ...WHOLE] },
  max_retries: { types: ['smallint', ...WHOLE] },
  next_retry_at: { types: TIME, isOftenNull: true },
  twilio_message_sid: { types: TEXT, length: 34, isOftenNull: true },
  final_status: { types: TEXT, length: 11 },
}

/** What we give a value, or leave null on purpose. */
const WRITTEN = new Set(Object.keys(COLUMNS).filter((name) => name !== 'id'))

export const examineTable: Examine = async ({ database }) => {
  const columns = new Map((await readColumns(database)).map((column) => [column.name, column]))
  if (columns.size === 0) return [failed('There is no table sms_usage_logs', MIGRATE)]
  const found = Object.keys(COLUMNS).flatMap((name) => faultOfColumn(name, columns.get(name)))
  for (const { name, isRequired } of columns.values()) {
    if (isRequired && !WRITTEN.has(name)) {
      const what = `Column ${name} must be given, and sms-retry does not know what: no message can be inserted`
      found.push(failed(what, `Give the column ${name} of sms_usage_logs a default.`))
    }
  }
  found.push(...(await faultsOfRights(database)))
  // Reading ids takes the right to, and a column id.
  const tooLarge = found.length > 0 ? null : await readTooLargeId(database)
  if (tooLarge !== null) found.push(failed(...explainTooLargeId(tooLarge)))
  return found.length > 0 ? found : [ok('sms_usage_logs has every column, of a type that serves')]
}

function faultOfColumn(name: string, column: Column | undefined): Finding[] {
  if (column === undefined) return [failed(`sms_usage_logs has no column ${name}`, MIGRATE)]
  const { types, length = 0, isOftenNull = false } = COLUMNS[name] ?? { types: [] }
  if (!types.includes(column.type)) {
    const what = `Column ${name} is ${column.type}, which does not serve`
    return [failed(what, `Alter the column ${name} of sms_usage_logs to ${types.join(' or ')}.`)]
  }
  if (column.isGenerated && WRITTEN.has(name)) {
    const what = `Column ${name} is generated, and cannot be given a value: no message can be sent`
    return [failed(what, `Make the column ${name} of sms_usage_logs an ordinary one.`)]
  }
  if (column.isNotNull && isOftenNull) {
    const what = `Column ${name} must not be null, but is while there is nothing to say: no message can be sent`
    return [failed(what, `Alter the column ${name} of sms_usage_logs: drop not null.`)]
  }
  if (TEXT.includes(column.type) && column.length !== null && column.length < length) {
    const what = `Column ${name} holds ${column.length} characters, but may be given ${length}`
    return [failed(what, `Alter the column ${name} of sms_usage_logs to ${column.type}(${length}) or text.`)]
  }
  return []
}

export const examineIndexes: Examine = async ({ database }) => {
  const indexes = await readIndexes(database)
  const found = indexes.flatMap(({ name, state }) => {
    if (state === 'valid') return []
    if (state === 'being built') return [warning(`Index ${name} is being built`, 'Wait until it is done.')]
    const what = state === 'invalid' ? 'is invalid: its building was cut off' : 'is missing'
    return [failed(`Index ${name} ${what}`, `${MIGRATE}, which builds it again while the table is in use.`)]
  })
  return found.length > 0 ? found : [ok(`All ${indexes.length} indexes are valid`)]
}

const STOP_TIMEOUT_MS = 1_000

export const examineQueue: Examine = async ({ database }) => {
  try {
    const queue = await startQueue(database, 'schedule', SILENT)
    await queue.stop(STOP_TIMEOUT_MS)
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error
    return [failed(error.message.replace(/\. Run: .*$/, ''), MIGRATE)]
  }
  const version = await readQueueVersion(database)
  return [ok(`The queues exist (pg-boss schema, version ${version})`)]
}

const nothing = (): void => undefined
/** What the queue complains of is in the error as well. */
const SILENT = { error: nothing, warn: nothing, info: nothing, debug: nothing }

/** A worker polls every half second; SEND_RATE_PER_SECOND or a backlog make it later. */
const DUE_FOR_LONG_SECONDS = 60

export const examineBacklog: Examine = async ({ database }) => {
  const { due, oldestDueAt, deferred, now } = await readBacklog(database)
  const seconds = oldestDueAt === null ? 0 : (now.getTime() - oldestDueAt.getTime()) / 1000
  const attempts = `${due} ${due === 1 ? 'attempt is' : 'attempts are'} due, ${deferred} later`
  if (seconds < DUE_FOR_LONG_SECONDS) return [ok(attempts)]
  return [
    warning(
      `${attempts}; the oldest has been due for ${duration(seconds)}`,
      'Start sms-retry worker, or more of them; SEND_RATE_PER_SECOND may be too low.',
    ),
  ]
}

export const examineWorker: Examine = async ({ database }) => {
  if (await isWatched(database)) return [ok('A worker is running')]
  return [
    warning(
      'No worker is running: no retry and no enqueued message is sent',
      'Start one or more: sms-retry worker',
    ),
  ]
}
