// The endpoint in an app of each framework, mounted under /sms as docs/frameworks.md describes, with the usual body parsers
// and a route of the app's own.
import 'reflect-metadata'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ServerType, serve } from '@hono/node-server'
import { Controller, Get, type INestApplication, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import express from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import { Hono } from 'hono'
import {
  createApp,
  createStatusCallbackHandler,
  type Options,
  statusCallbackRouter,
} from '../../src/index.ts'

/** The path under which each app mounts the endpoint. */
export const MOUNT = '/sms'

export interface RunningStack {
  readonly port: number
  close(): Promise<void>
}

type StartStack = (options: Options) => Promise<RunningStack>

export const STACKS: readonly (readonly [name: string, start: StartStack])[] = [
  ['createApp in Express 5', startCreateApp],
  ['Express 5', startExpress5],
  ['Express 4', startExpress4],
  ['Fastify', startFastify],
  ['Nest', startNest],
  ['node:http', startNodeHttp],
  ['Hono', startHono],
]

async function running(
  server: Server | ServerType,
  endpoint: { close(): Promise<void> },
): Promise<RunningStack> {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      await new Promise((resolve) => {
        server.close(resolve)
        if ('closeAllConnections' in server) server.closeAllConnections()
      })
      await endpoint.close()
    },
  }
}

function startCreateApp(options: Options): Promise<RunningStack> {
  const callbacks = createApp(options)
  const app = express().use(MOUNT, callbacks)
  app.get('/healthz', (_request, response) => void response.send('ok'))
  return running(createServer(app), callbacks)
}

function startExpress5(options: Options): Promise<RunningStack> {
  const callbacks = statusCallbackRouter(options)
  const app = express()
    .use(MOUNT, callbacks)
    .use(express.json(), express.urlencoded({ extended: true }))
  app.get('/healthz', (_request, response) => void response.send('ok'))
  return running(createServer(app), callbacks)
}

function startExpress4(options: Options): Promise<RunningStack> {
  const callbacks = statusCallbackRouter(options)
  const app = express4()
    .use(MOUNT, callbacks)
    .use(express4.json(), express4.urlencoded({ extended: true }))
  app.get('/healthz', (_request, response) => void response.send('ok'))
  return running(createServer(app), callbacks)
}

async function startFastify(options: Options): Promise<RunningStack> {
  const callbacks = statusCallbackRouter(options)
  const app = fastify({ forceCloseConnections: true })
  app.get('/healthz', async () => 'ok')
  app.all(
    `${MOUNT}/twilio/status`,
    {
      // Before Fastify reads the body.
      onRequest: async (request, reply) => {
        reply.hijack()
        callbacks(request.raw, reply.raw)
      },
    },
    () => undefined,
  )
  await app.listen({ port: 0, host: '127.0.0.1' })
  return running(app.server, { close: () => app.close().then(() => callbacks.close()) })
}

async function startNest(options: Options): Promise<RunningStack> {
  const callbacks = statusCallbackRouter(options)
  const app: INestApplication = await NestFactory.create(AppModule, { logger: false })
  app.use(MOUNT, callbacks)
  await app.listen(0, '127.0.0.1')
  return running(app.getHttpServer(), { close: () => app.close().then(() => callbacks.close()) })
}

class HealthController {
  check(): string {
    return 'ok'
  }
}
class AppModule {}

// Decorators as functions: the tests are compiled without the older kind of decorators that Nest uses.
Controller()(HealthController)
Get('healthz')(
  HealthController.prototype,
  'check',
  Object.getOwnPropertyDescriptor(HealthController.prototype, 'check') as PropertyDescriptor,
)
Module({ controllers: [HealthController] })(AppModule)

function startNodeHttp(options: Options): Promise<RunningStack> {
  const callbacks = statusCallbackRouter(options)
  const server = createServer((request, response) => {
    const [path] = (request.url ?? '').split('?')
    if (path === `${MOUNT}/twilio/status`) callbacks(request, response)
    else response.writeHead(path === '/healthz' ? 200 : 404).end()
  })
  return running(server, callbacks)
}

async function startHono(options: Options): Promise<RunningStack> {
  const handle = createStatusCallbackHandler(options)
  const app = new Hono()
  app.get('/healthz', (context) => context.text('ok'))
  app.all(`${MOUNT}/twilio/status`, (context) => handle(context.req.raw))
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
  if (!server.listening) await once(server, 'listening')
  return running(server, handle)
}
