// Tests the Twilio client over TLS: limits and resets of its connections, which plain HTTP does not have. (The key and the
// certificate are only for these tests.)
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { createTwilioClient, type TwilioClient } from '../../src/twilio/client.ts'
import { createdMessage } from '../support/fake-twilio.ts'
import { waitFor } from '../support/wait-for.ts'
import { closeLater, configOf, SUBMISSION } from './with-twilio.ts'

const pathOf = (name: string): string => fileURLToPath(new URL(`https/${name}`, import.meta.url))
const CERTIFICATE = pathOf('localhost.crt')

interface SecureTwilio {
  readonly client: TwilioClient
  /** How each connection ended, on the server's side. */
  readonly ends: string[]
}

/** A client with this concurrency, and a server whose requests the test answers when it wants. */
async function secureTwilio(
  concurrency: number,
  onRequest: (answer: () => void) => void,
): Promise<SecureTwilio> {
  const keys = { key: readFileSync(pathOf('localhost.key')), cert: readFileSync(CERTIFICATE) }
  const ends: string[] = []
  const server = createServer(keys, (request, response) => {
    request.resume().on('end', () =>
      onRequest(() => {
        response.writeHead(201, { 'Content-Type': 'application/json' })
        response.end(JSON.stringify(createdMessage()))
      }),
    )
  })
  server.on('secureConnection', (socket: Socket) => {
    socket.on('error', (error: NodeJS.ErrnoException) => ends.push(error.code ?? ''))
    socket.on('end', () => ends.push('closed'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closeLater(async () => {
    server.close()
    server.closeAllConnections()
  })
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const config = configOf(url, { concurrency, caBundle: CERTIFICATE })
  return { client: createTwilioClient(config, 'https://sms.example.com'), ends }
}

test('a connection is reused, and reset when its request times out, so the kernel sends nothing later', async () => {
  let requests = 0
  const { client, ends } = await secureTwilio(10, (answer) => {
    requests += 1
    if (requests <= 2) answer()
  })
  expect((await client.submit(SUBMISSION)).answer.outcome).toBe('accepted')
  expect((await client.submit(SUBMISSION)).answer.outcome).toBe('accepted')
  expect(ends).toEqual([])
  expect((await client.submit(SUBMISSION)).answer.outcome).toBe('unknown')
  await waitFor('the end of the connection', async () => ends.length > 0)
  expect(ends).toEqual(['ECONNRESET'])
  expect(requests).toBe(3)
})

test('the number of concurrent requests is SEND_CONCURRENCY', async () => {
  const concurrency = 130
  const unanswered: (() => void)[] = []
  const { client } = await secureTwilio(concurrency, (answer) => unanswered.push(answer))
  const submissions = Array.from({ length: concurrency }, () => client.submit(SUBMISSION))
  await waitFor('all of them', async () => unanswered.length === concurrency)
  for (const answer of unanswered) answer()
  const outcomes = (await Promise.all(submissions)).map(({ answer }) => answer.outcome)
  expect(new Set(outcomes)).toEqual(new Set(['accepted']))
})

test('a port without a listener is not processed', async () => {
  const client = createTwilioClient(configOf('https://localhost:1'), 'https://sms.example.com')
  expect((await client.submit(SUBMISSION)).answer).toMatchObject({ outcome: 'not_processed' })
})
