// The Express app of the web process: its routes, their order, and how it closes.
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Router } from 'express'
import { Instance } from '../processes/instance.ts'
import { LazyRecording, type Runtime } from '../processes/runtime.ts'
import { QUEUE_STOP_TIMEOUT_MS } from '../processes/stop-timeouts.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import { readinessRoute } from './readiness-route.ts'
import { statusCallbackRoute } from './status-callback-route.ts'

export interface Closable {
  /**
   * Closes the database connections of a router or an app. Call it after the server has closed. It can be called again.
   */
  close(): Promise<void>
}

/** The status callback endpoint alone, for mounting into an app. */
export function createStatusCallbackRouter(runtime: Runtime): Router & Closable {
  const instance = new Instance(runtime, 'web')
  const recording = new LazyRecording(runtime, instance)
  const close = (): Promise<void> => closeAll(runtime, instance, recording)
  return Object.assign(statusCallbackRoute(runtime, recording), { close })
}

/**
 * @param options.isOpen whether to show the dashboard without credentials: only for a process that no other machine can
 *   reach
 * @param options.instance started on first use of the database unless it runs already; stopped with the app
 */
export function createHttpApp(
  runtime: Runtime,
  { isOpen = false, instance = new Instance(runtime, 'web') } = {},
): Express & Closable {
  const { config, logger } = runtime
  const recording = new LazyRecording(runtime, instance)
  const app = express()
  app.disable('x-powered-by').disable('etag')
  // The first route, because nearly all requests are callbacks.
  app.use(statusCallbackRoute(runtime, recording))
  app.get('/healthz', (_request, response) => {
    response.type('text/plain').send('ok\n')
  })
  app.get('/readyz', readinessRoute(runtime, recording))
  if (isOpen || config.dashboard.credentials !== null || config.metricsToken !== null)
    app.use(
      loadOnFirstRequest(async () => {
        const { operatorRoutes } = await import('./operator-routes.ts')
        return operatorRoutes(runtime, recording, instance, isOpen)
      }),
    )
  app.use((_request, response) => {
    response.status(404).type('text/plain').send('Not found\n')
  })
  app.use(answerErrors(logger))
  return Object.assign(app, { close: () => closeAll(runtime, instance, recording) })
}

/**
 * Loads the handler on the first request, because most web processes answer only callbacks for days. A failed load is
 * repeated at the next request.
 */
function loadOnFirstRequest(load: () => Promise<RequestHandler>): RequestHandler {
  let loading: Promise<RequestHandler> | undefined
  return async (request, response, next) => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    })
    const handle = await loading
    return handle(request, response, next)
  }
}

/** Answers errors that no route has answered, such as a malformed path. Express itself would send a stack trace. */
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

async function closeAll({ database }: Runtime, instance: Instance, recording: LazyRecording): Promise<void> {
  await Promise.all([recording.stop(QUEUE_STOP_TIMEOUT_MS), instance.stop()])
  await database.close()
}
