// Writes the bytes of an arbitrary request, and reads whatever comes back.
import { connect } from 'node:net'
import webhooks from 'twilio/lib/webhooks/webhooks.js'
import type { ForeignRow, Target } from '../http/endpoint.ts'
import { ACCOUNT, type ArbitraryRequest, type Pair, SID } from './arbitrary-request.ts'

export interface Sent {
  readonly bytes: Buffer
  /** Whether the server may wait for more, or close without a word. */
  readonly isWhole: boolean
}

export function toBytes(
  request: ArbitraryRequest,
  row: ForeignRow,
  target: Target,
  accountSid: string,
): Sent {
  const fill = (text: string): string => (text === SID ? row.sid : text === ACCOUNT ? accountSid : text)
  const pairs = request.pairs.map(({ name, value }) => ({ name, value: fill(value) }))
  const body = Buffer.from(
    request.body ?? pairs.map(({ name, value }) => `${escapeText(name)}=${escapeText(value)}`).join('&'),
  )
  const path = request.path + (request.query ?? `?message=${row.id}&attempt=0`)
  const headers = [
    ['Host', 'sms.example.com'],
    ['Connection', 'close'],
    ['Content-Type', 'application/x-www-form-urlencoded; charset=UTF-8'],
    ...signature(request, pairs, target.publicBaseUrl + path, target.authToken),
    ...framing(request.framing, body.length),
    ...request.headers,
  ]
  const head = `${request.method} ${path} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  const written = request.framing === 'chunks' ? chunked(body) : body
  return {
    bytes: Buffer.concat([Buffer.from(head, 'latin1'), written]),
    isWhole:
      ['length', 'chunks'].includes(request.framing) &&
      request.headers.length === 0 &&
      request.method === 'POST',
  }
}

function signature(
  { signedBy }: ArbitraryRequest,
  pairs: readonly Pair[],
  url: string,
  authToken: string,
): [string, string][] {
  if (signedBy === 'nobody') return []
  const token = signedBy === 'twilio' ? authToken : 'the token of another account'
  const fields = Object.create(null) as Record<string, string | string[]>
  for (const { name, value } of pairs) {
    const before = fields[name]
    fields[name] = before === undefined ? value : [before, value].flat()
  }
  return [['X-Twilio-Signature', webhooks.getExpectedTwilioSignature(token, url, fields)]]
}

/** Lone surrogates, which are no characters, become what stands for none. */
function escapeText(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}

function framing(kind: ArbitraryRequest['framing'], length: number): [string, string][] {
  if (kind === 'none') return []
  if (kind === 'chunks') return [['Transfer-Encoding', 'chunked']]
  const said = { length, 'too short': Math.floor(length / 2), 'too long': length + 10 }[kind]
  return [['Content-Length', `${said}`]]
}

function chunked(body: Buffer): Buffer {
  const half = Math.floor(body.length / 2)
  const chunks = [body.subarray(0, half), body.subarray(half)].filter(({ length }) => length > 0)
  return Buffer.concat([
    ...chunks.flatMap((chunk) => [
      Buffer.from(`${chunk.length.toString(16)}\r\n`),
      chunk,
      Buffer.from('\r\n'),
    ]),
    Buffer.from('0\r\n\r\n'),
  ])
}

/** Who has sent something incomplete hangs up after so long. */
const PATIENCE_MS = 200
/** Longer than anything may take. */
const GIVEN_UP_MS = 20_000

/** @returns the statuses of all answers; none if the server has closed the connection without one */
export function exchangeBytes(port: number, { bytes, isWhole }: Sent): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const received: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    const timer = setTimeout(() => socket.end(), isWhole ? GIVEN_UP_MS : PATIENCE_MS)
    const givenUp = setTimeout(() => {
      socket.destroy()
      reject(new Error(`No end of the connection after ${GIVEN_UP_MS} ms`))
    }, GIVEN_UP_MS)
    socket.on('data', (chunk) => received.push(chunk))
    // It is closed while we are still writing: 'close' comes after it.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(timer)
      clearTimeout(givenUp)
      const text = Buffer.concat(received).toString('latin1')
      resolve([...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status)))
    })
  })
}
