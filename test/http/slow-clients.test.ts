// Clients that are slow, send too much or only hold a connection are cut off, while others are served.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { connect } from 'node:net'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import * as endpoint from './endpoint.ts'

let database: TestDatabase
let target: endpoint.Endpoint

beforeAll(async () => {
  database = await createTestDatabase()
  target = await endpoint.startEndpoint(database.url)
})

afterAll(async () => {
  await target.stop()
  await database.drop()
})

const HEAD = 'POST /twilio/status HTTP/1.1\r\nHost: sms.example.com\r\n'
const FORM = 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n'

/** Sends the text, then one byte every 100 ms until the server closes; returns its status line. */
function trickle(text: string, byte: string): Promise<string> {
  return new Promise((resolve) => {
    let said = ''
    const socket = connect(target.port, '127.0.0.1', () => socket.write(text))
    const timer = setInterval(() => byte !== '' && socket.write(byte), 100)
    socket.on('data', (chunk) => {
      said += chunk.toString()
    })
    // 'close' follows.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearInterval(timer)
      resolve(said.split('\r\n')[0] ?? '')
    })
  })
}

const TIMED_OUT = 'HTTP/1.1 408 Request Timeout'

test('an endless head, an endless body and an idle connection are answered 408', async () => {
  const slow = Promise.all([
    trickle(HEAD, 'X'),
    trickle(`${HEAD}${FORM}\r\nMessageSid=`, 'x'),
    trickle(HEAD, ''),
    trickle('', ''),
  ])
  // Other clients are served meanwhile.
  expect((await fetch(`${target.url}/healthz`)).status).toBe(200)
  expect(await slow).toEqual([TIMED_OUT, TIMED_OUT, TIMED_OUT, TIMED_OUT])
  expect(target.log.filter(({ level }) => level === 'error')).toEqual([])
})

test('headers of more than 16 KB are answered 431', async () => {
  expect(await trickle(`${HEAD}X-Long: ${'x'.repeat(17_000)}\r\n\r\n`, '')).toBe(
    'HTTP/1.1 431 Request Header Fields Too Large',
  )
})
