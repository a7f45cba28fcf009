// Loaded before a process under test (node --import): ends it by SIGKILL when it first comes to the point that
// KILL_AT names. It watches the statements and requests that the real packages make, and changes none of them.
import { subscribe } from 'node:diagnostics_channel'
import { writeSync } from 'node:fs'
import type { ClientRequest, IncomingMessage } from 'node:http'
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

subscribe('http.client.request.created', (event) => {
  const { request } = event as { request: ClientRequest }
  if (!/\/Messages\.json(\?|$)/.test(request.path)) return
  if (request.method === 'GET') reach('before look')
  if (request.method === 'POST') request.once('finish', () => reach('in request'))
  request.once('response', (response: IncomingMessage) => {
    response.once('end', () => answered.add(request.method))
  })
})

/** What the transaction that is open on a connection has written to messages, as JSON. */
const written = new WeakMap<object, string>()

interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
}

/** With and without a name to be prepared under. */
function statementOf([query, values]: readonly unknown[]): Statement {
  const { text, values: ownValues } =
    typeof query === 'string' ? { text: query, values } : (query as { text: string; values?: unknown })
  return { text, values: Array.isArray(ownValues) ? ownValues : [] }
}

function beforeStatement(client: pg.Client, { text, values }: Statement): void {
  const [first] = values
  if (text === 'begin') {
    written.delete(client)
    if (answered.has('POST')) reach('before record')
    if (answered.has('GET')) reach('before finding')
  }
  if (text.startsWith('update sms_usage_logs')) written.set(client, String(first))
  if (text.startsWith('insert into sms_usage_logs')) {
    const [, , , , , status] = values
    written.set(client, JSON.stringify({ status }))
  }
  if (text === 'commit' && isClaim(client)) reach('before claim')
  if (text === 'commit' && isFailure(client)) reach('in callback')
  if (/\bset\b[^;]*state = 'completed'/i.test(text) && first === 'attempt') reach('before complete')
}

function afterCommit(client: pg.Client): void {
  if (isClaim(client)) reach('after claim')
  if (isFailure(client)) reach('after callback')
}

function isClaim(client: pg.Client): boolean {
  return written.get(client)?.includes('"status":"submitting"') === true
}

function isFailure(client: pg.Client): boolean {
  return written.get(client)?.includes('"status":"retrying"') === true
}

const query = pg.Client.prototype.query as (this: pg.Client, ...parts: unknown[]) => unknown

pg.Client.prototype.query = function (this: pg.Client, ...parts: unknown[]) {
  const statement = statementOf(parts)
  beforeStatement(this, statement)
  const result = query.apply(this, parts)
  if (statement.text !== 'commit') return result
  return (result as Promise<unknown>).then((answer) => {
    afterCommit(this)
    return answer
  })
} as typeof pg.Client.prototype.query
