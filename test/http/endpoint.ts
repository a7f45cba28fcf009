// Shared by the tests of the endpoint: requests written byte by byte, because fetch would normalise them; a fingerprint of
// everything that a callback could write; and a search for personal data in the log.
import { connect } from 'node:net'
import { openRuntime } from '../../src/processes/runtime.ts'
import { CALLBACK_RESULT_HEADER } from '../../src/http/callback-result.ts'
import { startWeb } from '../../src/http/web.ts'
import webhooks from 'twilio/lib/webhooks/webhooks.js'
import { callbackFields, newSid } from '../support/callbacks.ts'
import type { TestDatabase } from '../support/database.ts'
import { capturingLogger, type LogLine } from '../support/world.ts'

export type Fields = Readonly<Record<string, string | readonly string[]>>

export interface Target {
  readonly port: number
  /** The URL that Twilio was told to call: signatures are made for it. */
  readonly publicBaseUrl: string
  readonly authToken: string
}

export interface CallbackRequest {
  readonly method?: string
  /** The request target, exactly as it is sent. */
  readonly path: string
  readonly fields: Fields
  /** Signed in place of the path and the fields that are sent. */
  readonly signedUrl?: string
  readonly signedFields?: Fields
  readonly authToken?: string
  /** Null omits a header, also the signature. */
  readonly headers?: Readonly<Record<string, string | null>>
  /** Sent instead of the fields. */
  readonly body?: string | Buffer
}

export interface Answer {
  readonly status: number
  readonly head: string
  readonly body: string
}

export const ACCOUNT_SID = `AC${'0123456789abcdef'.repeat(2)}`
export const AUTH_TOKEN = 'fedcba9876543210'.repeat(2)

export interface Endpoint extends Target {
  /** The address at which it listens; may differ from the public base URL. */
  readonly url: string
  readonly log: readonly LogLine[]
  stop(): Promise<void>
}

/** A web process on a free port that only the test calls. */
export async function startEndpoint(
  databaseUrl: string,
  env: Record<string, string> = {},
): Promise<Endpoint> {
  const publicBaseUrl = env['PUBLIC_BASE_URL'] ?? 'https://sms.example.com'
  const log: LogLine[] = []
  const settings = {
    DATABASE_URL: databaseUrl,
    HOST: '127.0.0.1',
    PORT: '0',
    PUBLIC_BASE_URL: publicBaseUrl,
    TWILIO_ACCOUNT_SID: ACCOUNT_SID,
    TWILIO_AUTH_TOKEN: AUTH_TOKEN,
    ...env,
  }
  const options = { logger: capturingLogger(log), retryPolicy: { jitter: 0 } }
  const web = await startWeb(openRuntime(options, settings, ['DATABASE_URL', 'PUBLIC_BASE_URL']))
  const port = Number(new URL(web.url).port)
  return { port, url: web.url, publicBaseUrl, authToken: AUTH_TOKEN, log, stop: () => web.stop() }
}

export const BODY = 'A text nobody may read'
export const TO = '+12065550199'

/** Posts the callback over a new connection and reads until the server closes it. */
export function post(target: Target, request: CallbackRequest): Promise<Answer> {
  return exchange(
    target.port,
    bytesOf(target, { ...request, headers: { Connection: 'close', ...request.headers } }),
  )
}

/**
 * Pipelines the callbacks over one connection (RFC 9112, 9.3.2).
 *
 * @returns the statuses of the answers in the order of the requests; fewer if the server closes the connection
 */
export function postTogether(target: Target, requests: readonly CallbackRequest[]): Promise<number[]> {
  return sendTogether(
    target.port,
    requests.map((request) => bytesOf(target, request)),
  )
}

/** As `postTogether`, with the heads of the answers. */
export function headsTogether(target: Target, requests: readonly CallbackRequest[]): Promise<Head[]> {
  return exchangeTogether(
    target.port,
    requests.map((request) => bytesOf(target, request)),
  )
}

/** Pipelines any requests. */
export async function sendTogether(port: number, requests: readonly Buffer[]): Promise<number[]> {
  return (await exchangeTogether(port, requests)).map(({ status }) => status)
}

type Head = Omit<Answer, 'body'>

function exchangeTogether(port: number, requests: readonly Buffer[]): Promise<Head[]> {
  return new Promise((resolve) => {
    let received = ''
    let heads: Head[] = []
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.concat(requests)))
    socket.on('data', (chunk) => {
      received += chunk.toString()
      heads = [...received.matchAll(/^HTTP\/1\.1 (\d{3})[\s\S]*?\r\n(?=\r\n)/gm)].map(([head, status]) => ({
        status: Number(status),
        head,
      }))
      if (heads.length === requests.length) socket.destroy()
    })
    // 'close' follows.
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(heads))
  })
}

function bytesOf(target: Target, request: CallbackRequest): Buffer {
  const body = Buffer.from(request.body ?? encode(request.fields))
  const url = request.signedUrl ?? target.publicBaseUrl + request.path
  const headers: Record<string, string | null> = {
    Host: 'sms.example.com',
    'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8',
    'Content-Length': `${body.length}`,
    'X-Twilio-Signature': webhooks.getExpectedTwilioSignature(
      request.authToken ?? target.authToken,
      url,
      request.signedFields ?? request.fields,
    ),
    ...request.headers,
  }
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}\r\n`],
  )
  const head = `${request.method ?? 'POST'} ${request.path} HTTP/1.1\r\n${lines.join('')}\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

/** Sends the bytes and returns the first answer. */
export function exchange(port: number, bytes: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const received: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.on('data', (chunk) => received.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => {
      const text = Buffer.concat(received).toString()
      const [head = '', ...rest] = text.split('\r\n\r\n')
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]), head, body: rest.join('\r\n\r\n') })
    })
  })
}

export function encode(fields: Fields): string {
  const pairs = Object.entries(fields).flatMap(([name, value]) =>
    [value].flat().map((one): [string, string] => [name, one]),
  )
  return new URLSearchParams(pairs).toString()
}

/** The result code in the answer's header; null if it has none. */
export function resultOf({ head }: Head): string | null {
  const [, code] = new RegExp(`^${CALLBACK_RESULT_HEADER}: (.*)\r$`, 'im').exec(head) ?? []
  return code ?? null
}

export interface ForeignRow {
  readonly id: number
  readonly sid: string
}

/** A row of an app that sent the message itself: it has a sid, but none of our metadata. */
export async function insertSentRow(
  database: TestDatabase,
  { direction = 'outbound', sid = newSid() }: { direction?: string; sid?: string | null } = {},
): Promise<ForeignRow> {
  const [row] = await database.query<{ id: number }>(
    `insert into sms_usage_logs
       (user_id, phone_number, message_direction, message_length, message_content, twilio_message_sid)
     values (7, $1, $2, 22, $3, $4) returning id`,
    [TO, direction, BODY, sid],
  )
  if (row === undefined) throw new Error('The row was not inserted')
  return { id: row.id, sid: sid ?? newSid() }
}

/** A failure that the default policy retries: accepting it writes a row and a job. */
export function undelivered(accountSid: string, sid: string, extra: Record<string, string> = {}): Fields {
  return callbackFields(accountSid, sid, 'undelivered', { ErrorCode: '30003', ...extra })
}

export function statusPath(messageId: number, attempt = 0): string {
  return `/twilio/status?message=${messageId}&attempt=${attempt}`
}

/** Changes with every insert, update and delete of a message or a job, even an update that changes no value. */
export async function fingerprint(database: TestDatabase): Promise<unknown> {
  return [
    await database.query('select xmin::text, ctid::text, * from sms_usage_logs order by id'),
    await database.query('select xmin::text, ctid::text, * from sms_retry_pgboss.job order by id'),
  ]
}

/** The jobs of pending attempts. */
export function jobs(database: TestDatabase): Promise<{ data: { message: number; attempt: number } }[]> {
  return database.query(
    `select data from sms_retry_pgboss.job where name = 'attempt' and state in ('created', 'retry') order by id`,
  )
}

/** The log lines above debug that contain a full phone number or the message's text. */
export function personalLines(log: readonly LogLine[]): string[] {
  return log
    .filter(({ level }) => level !== 'debug')
    .map((line) => JSON.stringify(line, (_key, value) => (value instanceof Error ? `${value.stack}` : value)))
    .filter((line) => /\+\d{7,15}|2065550199|A text nobody may read/.test(line))
}

/** Sends a head that announces a body, sends part of the body, and closes the connection. */
export function hangUp(port: number, line: string, headers: Readonly<Record<string, string>>): Promise<void> {
  return new Promise((resolve, reject) => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`${line}\r\n${lines.join('')}\r\nMessageSid=`, () => socket.destroy())
    })
    socket.on('error', reject)
    socket.on('close', () => resolve())
  })
}
