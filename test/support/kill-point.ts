// Loaded before a process under test (node --import): ends it by SIGKILL when it first comes to the point that
// KILL_AT names. It watches the statements and requests of the real packages and changes none of them.
import { subscribe } from 'node:diagnostics_channel'
import { writeSync } from 'node:fs'
import pg from 'pg'

export type KillPoint =
  /** The claim of an attempt is written and not committed. */
  | 'before claim'
  /** The claim is committed, and no request has begun. */
  | 'after claim'
  /** The operating system has a POST, and no answer was read. */
  | 'in request'
  /** Twilio's answer to a POST was read, and nothing written since. */
  | 'before record'
  /** The attempts are claimed, and their jobs not marked as completed. */
  | 'before complete'
  /** A failure reported by a callback and its retry are written and not committed. */
  | 'in callback'
  /** They are committed, and the callback is not answered. */
  | 'after callback'
  /** A sweep has claimed messages in doubt and not requested Twilio's list. */
  | 'before look'
  /** The list was read, and nothing written since. */
  | 'before finding'

function reach(point: KillPoint): void {
  if (process.env['KILL_AT'] !== point) return
  writeSync(2, `killed at: ${point}\n`)
  process.kill(process.pid, 'SIGKILL')
}

/** The methods of the requests for Messages.json whose answer was read. */
const answered = new Set<string>()

/** The part of undici's event that is read here. */
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

/** What the transaction that is open on a connection has written to messages, as JSON. */
const written = new WeakMap<pg.Client, string>()

function beforeStatement(client: pg.Client, text: string, values: readonly unknown[]): void {
  const [first] = values
  if (text.startsWith('begin')) {
    written.delete(client)
    if (answered.has('POST')) reach('before record')
    if (answered.has('GET')) reach('before finding')
  }
  if (/^\s*(update|insert into) sms_usage_logs/.test(text)) written.set(client, String(first))
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

type Callback = (error: Error | null, result?: pg.QueryResult) => void
type Query = (this: pg.Client, config: string | pg.QueryConfig, ...rest: unknown[]) => unknown

const prototype = pg.Client.prototype as unknown as { query: Query }
const { query } = prototype

prototype.query = function (config, ...rest) {
  const { text, values } = typeof config === 'string' ? { text: config, values: [] } : config
  beforeStatement(this, text, values ?? [])
  const told = rest.map((each) => {
    if (typeof each !== 'function') return each
    const callback: Callback = (error, result) => {
      if (result?.command === 'COMMIT') afterCommit(this)
      ;(each as Callback)(error, result)
    }
    return callback
  })
  return query.call(this, config, ...told)
}
