// The Express app of the web process: its routes, their order, and how it closes. The status callback endpoint alone.
import { createRequire } from 'node:module'
import type express from 'express'
import type { ErrorRequestHandler, Express, RequestHandler } from 'express'
import { Instance } from '../processes/instance.ts'
import { LazyRecording, type Runtime } from '../processes/runtime.ts'
import { QUEUE_STOP_TIMEOUT_MS } from '../processes/stop-timeouts.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import { readinessRoute } from './readiness-route.ts'
import { type AnswerCallback, statusCallbackEndpoint } from './status-callback-endpoint.ts'
import { type StatusCallbackHandler, statusCallbackHandler } from './status-callback-handler.ts'
import { statusCallbackListener, type StatusCallbackRouter } from './status-callback-listener.ts'

export interface Closable {
  /**
   * Closes the database connections of a router or an app. Call it after the server has closed. It can be called again.
   */
  close(): Promise<void>
}

/** The status callback endpoint alone, for mounting into an app. */
export function createStatusCallbackRouter(runtime: Runtime): StatusCallbackRouter & Closable {
  const { answer, close } = openEndpoint(runtime)
  return Object.assign(statusCallbackListener(answer), { close })
}

/** The status callback endpoint alone, for frameworks with the types of fetch. */
export function createFetchHandler(runtime: Runtime): StatusCallbackHandler & Closable {
  const { answer, close } = openEndpoint(runtime)
  return Object.assign(statusCallbackHandler(answer), { close })
}

function openEndpoint(runtime: Runtime): Closable & { answer: AnswerCallback } {
  const instance = new Instance(runtime, 'web')
  const recording = new LazyRecording(runtime, instance)
  return {
    answer: statusCallbackEndpoint(runtime, recording),
    close: () => closeAll(runtime, instance, recording),
  }
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
  const app = loadExpress()()
  app.disable('x-powered-by').disable('etag')
  // The first route, because nearly all requests are callbacks.
  app.use(statusCallbackListener(statusCallbackEndpoint(runtime, recording)))
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

/** Loaded late, because an app that only mounts the endpoint may use another framework. */
const loadExpress = (): typeof express => createRequire(import.meta.url)('express')

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
