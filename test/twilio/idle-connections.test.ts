// Tests connections that the server closes while they are idle: a request on one must not be in doubt if it was certainly not
// sent.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { createTwilioClient } from '../../src/twilio/client.ts'
import { createdMessage } from '../support/fake-twilio.ts'
import { closeLater, configOf, SUBMISSION } from './with-twilio.ts'

/** Answers each request, and closes the connection after this idle time. Sends no Keep-Alive header. */
async function serverThatCloses(
  afterMs: number,
): Promise<{ url: string; requests: () => number; connections: () => number }> {
  let requests = 0
  let connections = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => undefined)
    let idle: NodeJS.Timeout | undefined
    let received = ''
    socket.on('data', (chunk) => {
      clearTimeout(idle)
      received += String(chunk)
      const length = /content-length: (\d+)/i.exec(received)?.[1]
      const start = received.indexOf('\r\n\r\n') + 4
      if (length === undefined || start < 4 || received.length < start + Number(length)) return
      received = ''
      requests += 1
      const body = JSON.stringify(createdMessage())
      socket.write(`HTTP/1.1 201 Created\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      idle = setTimeout(() => socket.destroy(), afterMs)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closeLater(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, requests: () => requests, connections: () => connections }
}

test('a server that closes idle connections after 5 ms leaves only the first requests in doubt', async () => {
  const server = await serverThatCloses(5)
  const client = createTwilioClient(configOf(server.url), 'https://sms.example.com')
  let inDoubt = 0
  for (let i = 0; i < 200; i += 1) {
    const { answer } = await client.submit(SUBMISSION)
    if (answer.outcome !== 'accepted') inDoubt += 1
    await sleep(4 + (i % 3))
  }
  // The idle time starts at 4 s, and is halved each time the server closes a connection first.
  expect(inDoubt).toBeLessThanOrEqual(10)
  expect(server.requests()).toBe(200 - inDoubt)
})

test('a connection is reused if the server keeps it open', async () => {
  const server = await serverThatCloses(60_000)
  const client = createTwilioClient(configOf(server.url), 'https://sms.example.com')
  for (let i = 0; i < 20; i += 1) await client.submit(SUBMISSION)
  expect(server.connections()).toBeLessThan(5)
})
