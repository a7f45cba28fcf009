// The spans of messages with the real SDK of OpenTelemetry, in worlds of the real parts.
import { afterAll, beforeEach, expect, test } from '@jest/globals'
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node'
import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { runWorker } from '../../src/processes/worker.ts'
import { waitFor } from '../support/wait-for.ts'
import type { World } from '../support/world.ts'
import { appClient, closeLater, message, newWorld } from '../support/world-with.ts'

/** Undelivered with 30003 once, then delivered. */
const RECOVERED = '+15553000301'
/** Refused by the API once, then delivered. */
const REFUSED = '+15552121101'

const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
provider.register()
const app = trace.getTracer('app')

beforeEach(() => exporter.reset())
afterAll(() => provider.shutdown())

const spansOf = (operation: string): ReadableSpan[] =>
  exporter.getFinishedSpans().filter(({ name }) => name === `sms-retry ${operation}`)

function onlySpanOf(operation: string): ReadableSpan {
  const [span, ...others] = spansOf(operation)
  if (span === undefined || others.length > 0)
    throw new Error(`${others.length + Number(span !== undefined)} spans of ${operation}`)
  return span
}

const linkedSpans = ({ links }: ReadableSpan): string[] =>
  links.map(({ context: linked }) => `${linked.traceId} ${linked.spanId}`)

function idsOf(span: ReadableSpan): string {
  const { traceId, spanId } = span.spanContext()
  return `${traceId} ${spanId}`
}

async function newOutcomeWorld(
  onOutcome: (() => unknown) | undefined,
  env: Record<string, string> = {},
): Promise<World> {
  const world = await newWorld({ env: { OUTCOME_EVENTS: 'true', ...env } })
  const worker = await runWorker(world.openRuntime(), onOutcome)
  closeLater(() => worker.stop())
  return world
}

test('send, attempts, callbacks and the outcome of a retried message are spans, linked to the span of send', async () => {
  const active: unknown[] = []
  const { sender } = await newOutcomeWorld(() => active.push(trace.getActiveSpan()?.spanContext().spanId))
  const { id } = await sender.send(message({ to: RECOVERED, metadata: { order: 1001 } }))
  await waitFor('the spans', () => spansOf('outcome').length > 0 && spansOf('attempt').length === 2)

  const send = onlySpanOf('send')
  expect(send).toMatchObject({
    kind: SpanKind.PRODUCER,
    parentSpanContext: undefined,
    status: { code: SpanStatusCode.UNSET },
    attributes: {
      'messaging.system': 'sms-retry',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.message.id': `${id}`,
      'sms_retry.result': 'accepted',
    },
  })

  const [first, retry, ...more] = spansOf('attempt')
  expect(more).toEqual([])
  expect(first).toMatchObject({
    kind: SpanKind.CLIENT,
    parentSpanContext: { spanId: send.spanContext().spanId },
    links: [],
    attributes: {
      'messaging.message.id': `${id}`,
      'sms_retry.attempt': 0,
      'sms_retry.answer': 'accepted',
      'sms_retry.sid': expect.stringMatching(/^SM/),
    },
  })
  expect(retry).toMatchObject({ parentSpanContext: undefined, attributes: { 'sms_retry.attempt': 1 } })
  expect(retry && linkedSpans(retry)).toEqual([idsOf(send)])
  expect(retry?.spanContext().traceId).not.toBe(send.spanContext().traceId)

  const callbacks = spansOf('callback')
  for (const callback of callbacks) {
    expect(callback.kind).toBe(SpanKind.CONSUMER)
    expect(linkedSpans(callback)).toEqual([idsOf(send)])
    expect(callback.attributes['messaging.message.id']).toBe(`${id}`)
  }
  expect(callbacks.map(({ attributes }) => attributes)).toContainEqual({
    'messaging.system': 'sms-retry',
    'messaging.operation.name': 'callback',
    'messaging.operation.type': 'process',
    'messaging.message.id': `${id}`,
    'sms_retry.attempt': 0,
    'sms_retry.sid': first?.attributes['sms_retry.sid'],
    'sms_retry.status': 'undelivered',
    'sms_retry.error_code': 30003,
    'sms_retry.result': 'recorded',
  })

  const outcome = onlySpanOf('outcome')
  expect(outcome).toMatchObject({
    kind: SpanKind.CONSUMER,
    parentSpanContext: undefined,
    attributes: {
      'messaging.message.id': `${id}`,
      'sms_retry.outcome_type': 'message.delivered',
      'sms_retry.receiver': 'handler',
      'sms_retry.status': 'delivered',
    },
  })
  expect(linkedSpans(outcome)).toEqual([idsOf(send)])
  expect(active).toEqual([outcome.spanContext().spanId])

  // The app sees its own metadata only.
  expect((await sender.get({ id }))?.metadata).toEqual({ order: 1001 })
})

test('a span has no phone number and no text of a message', async () => {
  const { sender } = await newOutcomeWorld(() => {
    throw new Error(`no order of ${RECOVERED}`)
  })
  await sender.send(message({ to: RECOVERED, body: 'Secret text' }))
  await expect(sender.send(message({ to: '+1 206 555' }))).rejects.toThrow()
  await waitFor('the outcome', () => spansOf('outcome').length > 0)
  const texts = exporter
    .getFinishedSpans()
    .map(({ name, attributes, events, status }) => JSON.stringify({ name, attributes, events, status }))
  expect(texts.length).toBeGreaterThan(5)
  expect(texts.filter((text) => /5553000301|206 555|Secret text/.test(text))).toEqual([])
})

test('a handler that throws, a refused attempt and an invalid message make their spans fail', async () => {
  const { sender } = await newOutcomeWorld(() => {
    throw new TypeError('no such order')
  })
  await sender.send(message({ to: REFUSED }))
  await waitFor('the outcome', () => spansOf('outcome').length > 0)
  expect(onlySpanOf('outcome')).toMatchObject({
    status: { code: SpanStatusCode.ERROR, message: 'no such order' },
    attributes: { 'error.type': 'TypeError' },
  })
  expect(spansOf('attempt')[0]).toMatchObject({
    status: { code: SpanStatusCode.ERROR },
    attributes: { 'sms_retry.answer': 'rejected', 'sms_retry.error_code': 21211, 'error.type': '21211' },
  })
  await expect(sender.send(message({ to: 'nobody' }))).rejects.toThrow()
  expect(spansOf('send')[1]).toMatchObject({
    status: { code: SpanStatusCode.ERROR },
    attributes: { 'error.type': 'InvalidMessageError' },
  })
})

test('an enqueued message links its attempts to the span that was active at the call', async () => {
  const world = await newOutcomeWorld(undefined)
  const client = await appClient(world)
  const span = app.startSpan('checkout')
  await context.with(trace.setSpan(context.active(), span), async () => {
    await client.query('begin')
    await world.sender.enqueue(message(), { db: client })
    await world.sender.enqueueMany([message(), message()], { db: client })
    await client.query('commit')
  })
  span.end()
  await waitFor('the attempts', () => spansOf('attempt').length === 3)
  for (const attempt of spansOf('attempt')) expect(linkedSpans(attempt)).toEqual([idsOf(span as never)])
})

test('outside of a sampled span nothing is kept in the row', async () => {
  const world = await newWorld()
  const client = await appClient(world)
  const enqueue = () => world.sender.enqueue(message(), { db: client })
  await enqueue()
  const unsampled = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 0 }
  await context.with(trace.setSpanContext(context.active(), unsampled), enqueue)
  const sampled = { ...unsampled, traceFlags: 1 }
  await context.with(trace.setSpanContext(context.active(), sampled), enqueue)
  const { rows } = await client.query(
    `select sms_metadata ->> 'sms_retry_traceparent' as "kept" from sms_usage_logs order by id`,
  )
  expect(rows.map(({ kept }) => kept)).toEqual([null, null, `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`])
})

test('a traceparent that the app has changed gives no link, and the message is sent', async () => {
  const world = await newWorld()
  const client = await appClient(world)
  for (const kept of ['"nonsense"', `"00-${'0'.repeat(32)}-${'0'.repeat(16)}-01"`, '{"a": 1}', '7']) {
    const { id } = await world.sender.enqueue(message(), { db: client })
    await client.query(
      `update sms_usage_logs set sms_metadata = sms_metadata || jsonb_build_object('sms_retry_traceparent', $1::jsonb)
        where id = $2`,
      [kept, id],
    )
  }
  await world.startWorker()
  await waitFor('the attempts', () => spansOf('attempt').length === 4)
  expect(spansOf('attempt').map(({ attributes, links }) => [attributes['sms_retry.answer'], links])).toEqual(
    Array(4).fill(['accepted', []]),
  )
})

test('the app cannot use the key of the traceparent in its own metadata', async () => {
  const { sender } = await newWorld()
  const sending = sender.send(message({ metadata: { sms_retry_traceparent: 'mine' } }))
  await expect(sending).rejects.toThrow('must not use the keys sms_retry_traceparent')
})

test('a worker that was started in a span does not continue its trace', async () => {
  const span = app.startSpan('start')
  const world = await newWorld()
  await context.with(trace.setSpan(context.active(), span), () => world.startWorker())
  span.end()
  const client = await appClient(world)
  await world.sender.enqueue(message(), { db: client })
  await waitFor('the attempt', () => spansOf('attempt').length === 1)
  expect(onlySpanOf('attempt').parentSpanContext).toBeUndefined()
})

test('the webhook gets one traceparent, also with the instrumentation of undici', async () => {
  const received: IncomingMessage[] = []
  const server = createServer((request, response) => {
    received.push(request)
    response.writeHead(204).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closeLater(async () => {
    server.closeAllConnections()
    server.close()
  })
  // As the instrumentation of undici does it.
  const instrument = (published: unknown): void => {
    const { request } = published as { request: { addHeader(name: string, value: string): void } }
    const headers: Record<string, string> = {}
    propagation.inject(context.active(), headers)
    for (const [name, value] of Object.entries(headers)) request.addHeader(name, value)
  }
  const requests = channel('undici:request:create')
  requests.subscribe(instrument)
  closeLater(async () => void requests.unsubscribe(instrument))

  const { sender } = await newOutcomeWorld(undefined, {
    OUTCOME_WEBHOOK_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    OUTCOME_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 5).toString('base64')}`,
  })
  await sender.send(message())
  await waitFor('the outcome', () => spansOf('outcome').length > 0)
  const outcome = onlySpanOf('outcome')
  const { traceId, spanId } = outcome.spanContext()
  expect(outcome).toMatchObject({
    kind: SpanKind.CLIENT,
    attributes: { 'sms_retry.receiver': 'webhook', 'messaging.operation.type': 'send' },
  })
  expect(received.map(({ headersDistinct }) => headersDistinct['traceparent'])).toEqual([
    [`00-${traceId}-${spanId}-01`],
  ])
})

test('without an SDK nothing is recorded; an SDK that is registered later is used', async () => {
  trace.disable()
  const { sender } = await newWorld()
  await sender.send(message())
  expect(exporter.getFinishedSpans()).toEqual([])
  trace.setGlobalTracerProvider(provider)
  await sender.send(message())
  expect(onlySpanOf('send').attributes['sms_retry.result']).toBe('accepted')
})

test('docs/tracing.md lists the own attributes of each span', async () => {
  const { sender } = await newOutcomeWorld(() => undefined)
  await sender.send(message({ to: RECOVERED }))
  await sender.send(message({ to: REFUSED }))
  await waitFor('the outcomes', () => spansOf('outcome').length === 2)
  const page = await readFile(new URL('../../docs/tracing.md', import.meta.url), 'utf8')
  const rows = [...page.matchAll(/^\| `sms-retry (\w+)` \|.*\| (.*) \|$/gm)]
  expect(rows.map(([, operation]) => operation)).toEqual(['send', 'attempt', 'callback', 'outcome'])
  for (const [, operation = '', attributes = ''] of rows) {
    const listed = [...attributes.matchAll(/`([\w.]+)`/g)].map(([, name]) => name)
    const recorded = spansOf(operation).flatMap((span) => Object.keys(span.attributes))
    const own = new Set(recorded.filter((name) => name.startsWith('sms_retry.')))
    expect([operation, [...own].toSorted()]).toEqual([operation, listed.toSorted()])
  }
})

test('the queue adds no spans of its own', async () => {
  const { sender } = await newOutcomeWorld(() => undefined)
  await sender.send(message({ to: RECOVERED }))
  await waitFor('the outcome', () => spansOf('outcome').length > 0)
  const scopes = exporter.getFinishedSpans().map(({ instrumentationScope }) => instrumentationScope.name)
  expect([...new Set(scopes)]).toEqual(['sms-retry'])
})
