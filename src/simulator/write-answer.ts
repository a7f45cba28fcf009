// Owns the ways in which an answer reaches the client, or does not: whole, late, in part, never. Every answer
// of Twilio's API goes through here, so that its Date is that of the simulator's clock.
import type { ServerResponse } from 'node:http'
import type { HttpAnswer } from './http-answer.ts'

type Now = () => number

export function writeAnswer(response: ServerResponse, answer: HttpAnswer, now: Now): void {
  writeHead(response, answer, now)
  response.end(answer.body)
}

/** A client that leaves earlier is let go, here and below. */
export function writeLate(response: ServerResponse, answer: HttpAnswer, now: Now, delayMs: number): void {
  const timer = setTimeout(() => writeAnswer(response, answer, now), delayMs)
  response.once('close', () => clearTimeout(timer))
}

/** The head announces the whole body, so that no client takes the half of it for everything. */
export function writeHalf(response: ServerResponse, answer: HttpAnswer, now: Now): void {
  const body = Buffer.from(answer.body)
  writeHead(response, answer, now)
  // Only what has been handed to the system is sure to arrive before the end of the connection.
  response.write(body.subarray(0, body.length >> 1), () => response.socket?.destroy())
}

const DRIP_MS = 500

/** A byte at a time: each comes before any limit on the pauses within an answer. */
export function drip(response: ServerResponse, answer: HttpAnswer, now: Now): void {
  const body = Buffer.from(answer.body)
  writeHead(response, answer, now)
  let written = 0
  const timer = setInterval(() => {
    response.write(body.subarray(written, written + 1))
    written += 1
    if (written === body.length) response.end()
  }, DRIP_MS)
  response.once('close', () => clearInterval(timer))
}

/** As a server does that closes an idle connection at the moment at which a client uses it again. */
export function cut(response: ServerResponse): void {
  response.socket?.destroy()
}

export function holdAndCut(response: ServerResponse, holdMs: number): void {
  const timer = setTimeout(() => response.socket?.destroy(), holdMs)
  response.once('close', () => clearTimeout(timer))
}

function writeHead(response: ServerResponse, { status, headers, body }: HttpAnswer, now: Now): void {
  response.writeHead(status, {
    ...headers,
    'Content-Length': Buffer.byteLength(body),
    Date: new Date(now()).toUTCString(),
  })
}
