// The web process's Express app: the status callback endpoint, the metrics and the health checks.
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Router } from 'express'
import { isAnswer } from '../postgres/database-failure.ts'
import { readServer } from '../db/inspect.ts'
import { readTableState } from '../db/bookkeeping.ts'
import { SchemaError } from '../shared/errors.ts'
import { errorFields, type Log, type Logger, throttledLog } from '../shared/log.ts'
import { Instance } from '../processes/instance.ts'
import { recordCallback } from '../messages/record-callbacks.ts'
import { retryOnDatabaseError } from '../recording/record-events.ts'
import { LazyRecording, type Runtime } from '../processes/runtime.ts'
import { statusCallbackRoute } from './status-callback-route.ts'

export interface Closable {
  /** Ends the database connections of a router or an app. Call it once the server is closed; it can be called again. */
  close(): Promise<void>
}

const STOP_TIMEOUT_MS = 5_000

export function createStatusCallbackRouter(runtime: Runtime): Router & Closable {
  const instance = new Instance(runtime, 'web')
  const recording = new LazyRecording(runtime, instance)
  return Object.assign(routeOf(runtime, recording), { close: () => close(runtime, instance, recording) })
}

/**
 * @param options.isOpen serves the dashboard to everybody: for a process that only this machine can reach
 * @param options.instance is started when the database is first needed, if it was not before; stopped with the app
 */
export function createHttpApp(
  runtime: Runtime,
  { isOpen = false, instance = new Instance(runtime, 'web') } = {},
): Express & Closable {
  const recording = new LazyRecording(runtime, instance)
  const app = express()
  app.disable('x-powered-by').disable('etag')
  // First: nearly all requests are callbacks.
  app.use(routeOf(runtime, recording))
  const guessLimit = memoize(async () => new (await import('./guess-limit.ts')).GuessLimit(runtime.logger))
  const { metricsToken } = runtime.config
  if (metricsToken !== null)
    app.all(
      '/metrics',
      lazily(async () => {
        const { metricsRoute } = await import('./metrics-route.ts')
        return metricsRoute(metricsToken, runtime, instance, await guessLimit())
      }),
    )
  app.get('/healthz', (_request, response) => {
    response.type('text/plain').send('ok\n')
  })
  app.get('/readyz', readiness(runtime, recording))
  const { credentials } = runtime.config.dashboard
  if (isOpen || credentials !== null)
    app.use(
      lazily(async () => {
        const { dashboardRoute } = await import('./dashboard/dashboard-route.ts')
        const isGuarded = !isOpen && credentials !== null
        const access = isGuarded ? { credentials, guessLimit: await guessLimit() } : 'open'
        return dashboardRoute(runtime, recording, access)
      }),
    )
  app.use((_request, response) => {
    response.status(404).type('text/plain').send('Not found\n')
  })
  app.use(answerErrors(runtime.logger))
  return Object.assign(app, { close: () => close(runtime, instance, recording) })
}

function routeOf(runtime: Runtime, recording: LazyRecording): Router {
  const { config, logger, metrics } = runtime
  return statusCallbackRoute({
    accountSid: config.twilio.accountSid,
    authTokens: config.twilio.authTokens,
    publicBaseUrl: config.publicBaseUrl,
    logger,
    metrics,
    record: (callback) =>
      retryOnDatabaseError(
        async () => recordCallback(await recording.get(), callback),
        RECORD_AGAIN_AFTER_MS,
        RECORD_WITHIN_MS,
      ),
  })
}

/** What nobody else has answered: an address with broken escapes, or a bug. Express itself would print a stack. */
function answerErrors(logger: Logger): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error)
    const status = error instanceof Error && 'status' in error ? Number(error.status) : 500
    if (status >= 400 && status < 500) {
      response.status(status).type('text/plain').send('Bad request\n')
      return
    }
    logger.error('A request failed', errorFields(error))
    response.status(500).type('text/plain').send('Internal error\n')
  }
}

/**
 * Loads a route when it is first asked for, and once more after a failure: most web processes serve status callbacks for
 * days before that, and what an app imports that only mounts the endpoint should be little.
 */
function lazily(load: () => Promise<RequestHandler>): RequestHandler {
  const loaded = memoize(load)
  return async (request, response, next) => {
    const handle = await loaded()
    return handle(request, response, next)
  }
}

function memoize<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined
  return () => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    })
    return loading
  }
}

/**
 * A database that is away for a moment is waited for; so is the answer to a commit that got lost. Then it is Twilio's
 * turn, which sends a callback that met a 503 up to five times more: as each is held that long, this spans its 15 s.
 */
const RECORD_AGAIN_AFTER_MS = [500, 1_500]
const RECORD_WITHIN_MS = 2_500

/** 200 once the database can be reached and written to, and its schema is the one that this version needs. */
function readiness(runtime: Runtime, recording: LazyRecording): RequestHandler {
  // Anybody may ask, as often as he likes: one look at the database at a time serves all who ask meanwhile.
  const log = throttledLog((message, fields) => runtime.logger.warn(message, fields), LOG_NOT_READY_EVERY_MS)
  let looking: Promise<string | null> | undefined
  return async (_request, response) => {
    looking ??= whyNotReady(runtime, recording, log).finally(() => {
      looking = undefined
    })
    const why = await looking
    response
      .status(why === null ? 200 : 503)
      .type('text/plain')
      .send(`${why ?? 'ready'}\n`)
  }
}

const LOG_NOT_READY_EVERY_MS = 10_000

async function whyNotReady(
  { database }: Runtime,
  recording: LazyRecording,
  log: Log,
): Promise<string | null> {
  try {
    const [{ kind: table }, { isReadOnly }] = await Promise.all([
      readTableState(database),
      readServer(database),
      recording.get().then(({ queue }) => queue.check()),
    ])
    if (table !== 'current') return table === 'outdated' ? NOT_MIGRATED : MISPLACED
    if (!isReadOnly) return null
    log('Not ready', { why: READ_ONLY })
    return READ_ONLY
  } catch (error) {
    log('Not ready', { why: error instanceof Error ? error.message : String(error) })
    if (error instanceof SchemaError) return NOT_MIGRATED
    return error instanceof Error && isAnswer(error.cause) ? REFUSED : 'The database is away'
  }
}

const MISPLACED = 'The table is not the one of this installation; run: sms-retry doctor'
const NOT_MIGRATED = 'The schema is not up to date; run: sms-retry migrate'
/** A right that was taken away, or too many connections. */
const REFUSED = 'The database answers with an error; run: sms-retry doctor'
/** A standby after a failover, or a disk that is full. */
const READ_ONLY = 'The database is read-only'

async function close({ database }: Runtime, instance: Instance, recording: LazyRecording): Promise<void> {
  await Promise.all([recording.stop(STOP_TIMEOUT_MS), instance.stop()])
  await database.close()
}
