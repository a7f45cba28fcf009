// The webhook for outcomes: what a receiver gets, how it checks the signature, and which answers count.
import { afterEach, describe, expect, test } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'
import type { Outcome } from '../../src/outcomes/outcome-event.ts'
import { createOutcomeWebhook, type OutcomeWebhook } from '../../src/outcomes/webhook.ts'

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
const OLD_SECRET = `whsec_${Buffer.alloc(32, 2).toString('base64')}`
const OTHER_SECRET = `whsec_${Buffer.alloc(32, 3).toString('base64')}`

const OUTCOME: Outcome = {
  id: '0b5e2b8e-7a3c-8d1f-8a2b-3c4d5e6f7a8b',
  type: 'message.failed',
  messageId: 42,
  idempotencyKey: 'order-1001',
  userId: 7,
  metadata: { order: 1001, note: 'Größe ☎' },
  status: 'undelivered',
  previousStatus: 'sent',
  errorCode: 30003,
  reason: 'The phone is off',
  retryCount: 2,
  sid: `SM${'0'.repeat(32)}`,
  at: '2027-03-01T17:00:00.000Z',
}

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Received {
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
  readonly url: string
}

/** A receiver and what it has received. */
async function startReceiver(
  answer: (response: http.ServerResponse, request: Received) => void,
  tls: https.ServerOptions | null = null,
): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = []
  const listen: http.RequestListener = async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const one = { headers: request.headers, body: Buffer.concat(chunks).toString(), url: request.url ?? '' }
    received.push(one)
    answer(response, one)
  }
  const server = tls === null ? http.createServer(listen) : https.createServer(tls, listen)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `${tls === null ? 'http' : 'https'}://127.0.0.1:${port}/hook?shop=1`, received }
}

async function newWebhook(url: string, ...secrets: string[]): Promise<OutcomeWebhook> {
  const webhook = await createOutcomeWebhook({ url, secrets: secrets.length === 0 ? [SECRET] : secrets })
  closing.push(() => webhook.close())
  return webhook
}

const answerWith =
  (status: number, headers: http.OutgoingHttpHeaders = {}) =>
  (response: http.ServerResponse) =>
    void response.writeHead(status, headers).end('Thank you')

test('posts the outcome with the headers of Standard Webhooks', async () => {
  const { url, received } = await startReceiver(answerWith(204))
  await (await newWebhook(url)).post(OUTCOME)
  const [request] = received
  expect(request?.url).toBe('/hook?shop=1')
  expect(JSON.parse(request?.body ?? '')).toEqual({
    type: 'message.failed',
    timestamp: OUTCOME.at,
    data: OUTCOME,
  })
  expect(request?.headers).toMatchObject({
    'content-type': 'application/json',
    'webhook-id': OUTCOME.id,
    'webhook-timestamp': expect.stringMatching(/^\d{10}$/),
    'webhook-signature': expect.stringMatching(/^v1,[A-Za-z0-9+/]{43}=$/),
  })
})

test('a receiver with any of the secrets can verify it, and no other', async () => {
  const { url, received } = await startReceiver(answerWith(200))
  await (await newWebhook(url, SECRET, OLD_SECRET)).post(OUTCOME)
  const { body = '', headers = {} } = received[0] ?? {}
  const verifyWith = (secret: string, text = body): unknown =>
    new Webhook(secret).verify(text, headers as Record<string, string>)
  expect(verifyWith(SECRET)).toMatchObject({ data: { messageId: 42 } })
  expect(verifyWith(OLD_SECRET)).toMatchObject({ data: { messageId: 42 } })
  expect(() => verifyWith(OTHER_SECRET)).toThrow('No matching signature')
  expect(() => verifyWith(SECRET, body.replace('42', '43'))).toThrow('No matching signature')
})

describe('counts as not delivered:', () => {
  test.each([
    301, 302, 307, 400, 410, 429, 500, 503,
  ])('an answer %i, even if it redirects', async (status) => {
    const target = await startReceiver(answerWith(200))
    const { url, received } = await startReceiver(answerWith(status, { location: target.url }))
    await expect((await newWebhook(url)).post(OUTCOME)).rejects.toThrow(`answered ${status}`)
    expect(received).toHaveLength(1)
    expect(target.received).toEqual([])
  })

  test('no answer within ten seconds', async () => {
    const { url } = await startReceiver(() => undefined)
    await expect((await newWebhook(url)).post(OUTCOME)).rejects.toThrow('no answer within 10 s')
  }, 20_000)

  test('a refused connection, without the URL in the error', async () => {
    const { url } = await startReceiver(answerWith(200))
    const webhook = await newWebhook(url)
    for (const close of closing.splice(0, 1)) close()
    await expect(webhook.post(OUTCOME)).rejects.toThrow(/^no answer \(ECONNREFUSED\)$/)
  })

  test('a certificate that Node does not trust', async () => {
    const { url, received } = await startReceiver(answerWith(200), selfSigned())
    await expect((await newWebhook(url)).post(OUTCOME)).rejects.toThrow(/^no answer \(.*SELF_SIGNED.*\)$/)
    expect(received).toEqual([])
  })
})

test('the rest of an endless answer is not waited for', async () => {
  const { url } = await startReceiver((response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write('x'.repeat(10_000)), 5)
    response.on('close', () => clearInterval(timer))
  })
  await (await newWebhook(url)).post(OUTCOME)
})

test('an answer that arrives byte by byte is not waited for longer than ten seconds', async () => {
  const { url } = await startReceiver((response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write('x'), 200)
    response.on('close', () => clearInterval(timer))
  })
  await (await newWebhook(url)).post(OUTCOME)
}, 60_000)

function selfSigned(): https.ServerOptions {
  const folder = mkdtempSync(join(tmpdir(), 'webhook-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync('openssl', [...args, '-keyout', key, '-out', cert, '-days', '1', '-subj', '/CN=127.0.0.1'], {
    stdio: 'ignore',
  })
  return { key: readFileSync(key), cert: readFileSync(cert) }
}
