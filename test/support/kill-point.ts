// Loaded before a process under test (node --import): ends it by SIGKILL when it first comes to the point that
// KILL_AT names. It watches the statements and requests that the real packages make, and changes none of them.
import { subscribe } from 'node:diagnostics_channel'
import { writeSync } from 'node:fs'
import pg from 'pg'

export type KillPoint =
  /** The row of an attempt that is due, or is being sent, is written, its claim not committed. */
  | 'before claim'
  /** The claim is committed, no request begun. */
  | 'after claim'
  /** A POST is with the operating system, no answer read. */
  | 'in request'
  /** Twilio's answer to a POST is read, nothing written since. */
  | 'before record'
  /** The attempts are claimed, their jobs not marked as completed. */
  | 'before complete'
  /** A failure that a callback told, and its retry, are written, not committed. */
  | 'in callback'
  /** They are committed, the callback is not answered. */
  | 'after callback'
  /** Messages in doubt are taken on by a sweep, Twilio's list is not asked for. */
  | 'before look'
  /** The list is read, nothing written since. */
  | 'before finding'

function reach(point: KillPoint): void {
  if (process.env['KILL_AT'] !== point) return
  writeSync(2, `killed at: ${point}\n`)
  process.kill(process.pid, 'SIGKILL')
}

/** Methods of the requests for Messages.json whose answer was read. */
const answered = new Set<string>()

/** What undici publishes of a request. */
interface Published {
  readonly request: { readonly method: string; readonly path: string }
}

function onMessages(channel: string, act: (method: string) => void): void {
  subscribe(channel, (event) => {
    const { method, path } = (event as Published).request
    if (/\/Messages\.json(\?|$)/.test(path)) act(method)
  })
}

onMessages('undici:request:create', (method) => method === 'GET' && reach('before look'))
onMessages('undici:request:bodySent', (method) => method === 'POST' && reach('in request'))
onMessages('undici:request:trailers', (method) => answered.add(method))

/** The parts of pg's connection by which every statement reaches the server. */
interface Wire {
  parse(statement: { readonly text: string; readonly name?: string | undefined }): void
  bind(bound: {
    readonly statement?: string | undefined
    readonly values?: readonly unknown[] | undefined
  }): void
  emit(event: string, ...told: unknown[]): boolean
}

/** What each connection has parsed, by name. */
const parsed = new WeakMap<Wire, Map<string, string>>()

/** What the transaction that is open on a connection has written to messages, as JSON. */
const written = new WeakMap<Wire, string>()

function beforeStatement(connection: Wire, text: string, values: readonly unknown[]): void {
  const [first] = values
  if (text.startsWith('begin')) {
    written.delete(connection)
    if (answered.has('POST')) reach('before record')
    if (answered.has('GET')) reach('before finding')
  }
  if (text.startsWith('update sms_usage_logs')) written.set(connection, String(first))
  if (text.startsWith('insert into sms_usage_logs')) {
    const [, , , , , status] = values
    written.set(connection, JSON.stringify({ status }))
  }
  if (text === 'commit' && isClaim(connection)) reach('before claim')
  if (text === 'commit' && isFailure(connection)) reach('in callback')
  if (/\bset\b[^;]*state = 'completed'/i.test(text) && first === 'attempt') reach('before complete')
}

function afterCommit(connection: Wire): void {
  if (isClaim(connection)) reach('after claim')
  if (isFailure(connection)) reach('after callback')
}

function isClaim(connection: Wire): boolean {
  return written.get(connection)?.includes('"status":"submitting"') === true
}

function isFailure(connection: Wire): boolean {
  return written.get(connection)?.includes('"status":"retrying"') === true
}

const wire = pg.Connection.prototype as unknown as Wire
const { parse, bind, emit } = wire

wire.parse = function (this: Wire, statement) {
  const texts = parsed.get(this) ?? new Map<string, string>()
  parsed.set(this, texts.set(statement.name ?? '', statement.text))
  parse.call(this, statement)
}

wire.bind = function (this: Wire, bound) {
  beforeStatement(this, parsed.get(this)?.get(bound.statement ?? '') ?? '', bound.values ?? [])
  bind.call(this, bound)
}

wire.emit = function (this: Wire, event, ...told) {
  const [message] = told as [{ readonly text?: string }?]
  if (event === 'commandComplete' && message?.text === 'COMMIT') afterCommit(this)
  return emit.call(this, event, ...told)
}
