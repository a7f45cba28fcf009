// Writes answers: whole, late, in part, or never. All answers of Twilio's API pass through here, so that their Date header
// has the time of the simulator's clock.
import type { ServerResponse } from 'node:http'
import type { HttpAnswer } from './http-answer.ts'

type Now = () => number

export function writeAnswer(response: ServerResponse, answer: HttpAnswer, now: Now): void {
  writeHead(response, answer, now)
  response.end(answer.body)
}

/** This timer, like those below, stops if the client disconnects first. */
export function writeLate(response: ServerResponse, answer: HttpAnswer, now: Now, delayMs: number): void {
  const timer = setTimeout(() => writeAnswer(response, answer, now), delayMs)
  response.once('close', () => clearTimeout(timer))
}

/** Content-Length announces the whole body, so that the client notices that half of it is missing. */
export function writeHalf(response: ServerResponse, answer: HttpAnswer, now: Now): void {
  const body = Buffer.from(answer.body)
  writeHead(response, answer, now)
  // Destroying the socket before the write is flushed could lose the first half as well.
  response.write(body.subarray(0, body.length >> 1), () => response.socket?.destroy())
}

const DRIP_MS = 500

/** Writes one byte at a time, fast enough that no idle time-out of the client fires. */
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

/** Simulates a server that closes an idle connection just when the client reuses it. */
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
