// GET /readyz: can this process record callbacks? If not, the answer names the command that helps.
import type { RequestHandler } from 'express'
import { readTableState } from '../db/bookkeeping.ts'
import { readServer } from '../db/inspect.ts'
import { isAnswer } from '../postgres/database-failure.ts'
import type { LazyRecording, Runtime } from '../processes/runtime.ts'
import { SchemaError } from '../shared/errors.ts'
import { type Log, throttledLog } from '../shared/log.ts'

const LOG_EVERY_MS = 10_000

const PROBLEMS = {
  unreachable: 'The database is unreachable',
  /** Insufficient privileges, or too many connections. */
  refused: 'The database returns an error; run: sms-retry doctor',
  not_migrated: 'The schema is out of date; run: sms-retry migrate',
  wrong_table: 'The table belongs to another installation; run: sms-retry doctor',
  /** A standby after a failover, or a full disk. */
  read_only: 'The database is read-only',
} as const

type Problem = keyof typeof PROBLEMS

/** 200 if the database is reachable and writable and its schema is the one that this version needs; else 503. */
export function readinessRoute(runtime: Runtime, recording: LazyRecording): RequestHandler {
  const log = throttledLog((message, fields) => runtime.logger.warn(message, fields), LOG_EVERY_MS)
  // Anyone may ask, at any rate. Requests that arrive during a check share its result.
  let checking: Promise<Problem | null> | undefined
  return async (_request, response) => {
    checking ??= findProblem(runtime, recording, log).finally(() => {
      checking = undefined
    })
    const problem = await checking
    response
      .status(problem === null ? 200 : 503)
      .type('text/plain')
      .send(`${problem === null ? 'ready' : PROBLEMS[problem]}\n`)
  }
}

async function findProblem(
  { database }: Runtime,
  recording: LazyRecording,
  log: Log,
): Promise<Problem | null> {
  try {
    const [{ kind: table }, { isReadOnly }] = await Promise.all([
      readTableState(database),
      readServer(database),
      recording.get().then(({ queue }) => queue.check()),
    ])
    if (table !== 'current') return table === 'outdated' ? 'not_migrated' : 'wrong_table'
    if (!isReadOnly) return null
    log('Not ready', { why: PROBLEMS.read_only })
    return 'read_only'
  } catch (error) {
    log('Not ready', { why: error instanceof Error ? error.message : String(error) })
    if (error instanceof SchemaError) return 'not_migrated'
    return error instanceof Error && isAnswer(error.cause) ? 'refused' : 'unreachable'
  }
}
