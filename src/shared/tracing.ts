// Spans of OpenTelemetry, if the app has `@opentelemetry/api` and an SDK. Otherwise, a function runs its task and nothing
// else. docs/tracing.md lists the spans.
import type { Link, Span, Tracer } from '@opentelemetry/api'
import { maskNumbersIn } from './log.ts'
import { readVersion } from './version.ts'

type Api = typeof import('@opentelemetry/api')

interface Tracing {
  readonly api: Api
  readonly version: string
}

/** Null if the app has no `@opentelemetry/api`, or `loadTracing` was not called. */
let tracing: Tracing | null = null
let loading: Promise<void> | undefined

/** Loads `@opentelemetry/api` if it is installed. Called when a process starts, so an import of sms-retry loads nothing. */
export function loadTracing(): Promise<void> {
  loading ??= import('@opentelemetry/api').then((api) => {
    tracing = { api, version: readVersion() }
  }, ignoreMissing)
  return loading
}

/** The package has no dependencies, so this code can only mean the package itself. */
function ignoreMissing(error: Error & { code?: unknown }): void {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
}

/** Null and undefined values are left out. Must contain no phone number and no text. */
export type Attributes = Readonly<Record<string, string | number | null | undefined>>

export interface SpanStart {
  readonly kind: 'PRODUCER' | 'CLIENT' | 'CONSUMER'
  readonly attributes?: Attributes
  /**
   * The `traceparent` of the span that sent the message: the new span starts a trace of its own, with a link to it. A
   * retry or an outcome can come days later, and a trace that grows for days is hard to sample, store and read. Left out
   * for a child of the active span.
   */
  readonly linkTo?: string | null | undefined
}

/**
 * Runs a task in a span with the name `sms-retry <operation>`. The span has failed if the task rejects.
 *
 * @param task gets null without an SDK
 */
export function inSpan<T>(
  operation: 'send' | 'attempt' | 'callback' | 'outcome',
  start: SpanStart,
  task: (span: OpenSpan | null) => Promise<T>,
): Promise<T> {
  const tracer = tracing === null ? null : registeredTracer(tracing)
  if (tracing === null || tracer === null) return task(null)
  return runInSpan(tracing.api, tracer, operation, start, task)
}

/**
 * Null without an SDK. The API alone is often installed, and its spans that record nothing would cost a tenth of a status
 * callback. The tracer is not kept, because the app may register its SDK later.
 */
function registeredTracer({ api, version }: Tracing): Tracer | null {
  const provider = api.trace.getTracerProvider()
  if (!(provider instanceof api.ProxyTracerProvider)) return provider.getTracer('sms-retry', version)
  return provider.getDelegateTracer('sms-retry', version) ?? null
}

async function runInSpan<T>(
  api: Api,
  tracer: Tracer,
  operation: string,
  { kind, attributes, linkTo }: SpanStart,
  task: (span: OpenSpan) => Promise<T>,
): Promise<T> {
  const { context, ROOT_CONTEXT, SpanKind, trace } = api
  // A worker runs in the context of the call that started it, which has nothing to do with its messages.
  const parent = linkTo === undefined ? context.active() : ROOT_CONTEXT
  const conventional = {
    'messaging.system': 'sms-retry',
    'messaging.operation.name': operation,
    'messaging.operation.type': kind === 'CONSUMER' ? 'process' : 'send',
  }
  const options = {
    kind: SpanKind[kind],
    attributes: present({ ...conventional, ...attributes }),
    links: linksTo(api, linkTo),
  }
  const span = tracer.startSpan(`sms-retry ${operation}`, options, parent)
  const open = new OpenSpan(api, span)
  try {
    return await context.with(trace.setSpan(parent, span), () => task(open))
  } catch (error) {
    open.failWith(error)
    throw error
  } finally {
    span.end()
  }
}

export class OpenSpan {
  readonly #api: Api
  readonly #span: Span

  constructor(api: Api, span: Span) {
    this.#api = api
    this.#span = span
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(present(attributes))
  }

  linkTo(traceparent: string | null): void {
    // Some vendors' spans lack this method, and a callback must not fail for it.
    this.#span.addLinks?.(linksTo(this.#api, traceparent))
  }

  fail(errorType: string, message?: string): void {
    this.#span.setAttribute('error.type', errorType)
    const code = this.#api.SpanStatusCode.ERROR
    this.#span.setStatus(message === undefined ? { code } : { code, message })
  }

  /** The error is not recorded as an exception: its stack repeats the message, with the numbers in it. */
  failWith(error: unknown): void {
    const name = error instanceof Error ? error.name : '_OTHER'
    this.fail(name, maskNumbersIn(error instanceof Error ? error.message : String(error)))
  }
}

function present(attributes: Attributes): Record<string, string | number> {
  const found: Record<string, string | number> = {}
  for (const [name, value] of Object.entries(attributes)) if (value != null) found[name] = value
  return found
}

/** A W3C `traceparent`. */
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** The active span. Null if there is none, or if it is not sampled: a link to it would lead nowhere. */
export function activeTraceparent(): string | null {
  const active = tracing?.api.trace.getActiveSpan()?.spanContext()
  if (tracing === null || active === undefined) return null
  const { isSpanContextValid, TraceFlags } = tracing.api
  if (!isSpanContextValid(active) || (active.traceFlags & TraceFlags.SAMPLED) === 0) return null
  return `00-${active.traceId}-${active.spanId}-01`
}

/** None for a value that is not valid: the app can write to the metadata as well. */
function linksTo({ isSpanContextValid }: Api, traceparent: string | null | undefined): Link[] {
  const [, traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(traceparent ?? '') ?? []
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  return isSpanContextValid(context) ? [{ context }] : []
}

/** The key with which OpenTelemetry's SDK marks a context whose requests get neither spans nor headers. */
const SUPPRESS_TRACING = 'OpenTelemetry SDK Context Key SUPPRESS_TRACING'

/**
 * Makes a request with the headers that continue the active trace. The instrumentation of undici is suppressed: it would
 * add the same headers again, and a receiver rejects a repeated `traceparent`
 * (https://github.com/open-telemetry/opentelemetry-js-contrib/issues/2796). The active span stands for the request.
 */
export function withTraceHeaders<T>(
  request: (headers: Readonly<Record<string, string>>) => Promise<T>,
): Promise<T> {
  if (tracing === null) return request({})
  const { context, createContextKey, propagation } = tracing.api
  const headers: Record<string, string> = {}
  propagation.inject(context.active(), headers)
  const suppressed = context.active().setValue(createContextKey(SUPPRESS_TRACING), true)
  return context.with(suppressed, () => request(headers))
}
