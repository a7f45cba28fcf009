import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createApp, createSender, startWorker } from 'sms-retry'
import { startSimulator } from 'sms-retry/testing'
import { expect, test, vi } from 'vitest'
import { confirmOrder } from '../confirm-order.ts'

test('a phone that is switched off gets the confirmation by a retry', async () => {
  const simulator = await startSimulator()
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const options = {
    databaseUrl: process.env['DATABASE_URL'] ?? '',
    publicBaseUrl: `http://127.0.0.1:${port}`,
    twilio: simulator.twilio,
    // A retry after 300 seconds is made after 0.3 seconds.
    retryDelayScale: 0.001,
  }
  const app = createApp(options)
  server.on('request', app)
  const [sender, worker] = await Promise.all([createSender(options), startWorker(options)])

  // The number is the script: 30003 (unreachable) at the first attempt, then delivered.
  const order = { number: Date.now(), userId: 7, phone: '+15553000301' }
  expect(await confirmOrder(sender, order)).toBe('confirmed')
  await vi.waitFor(() => expect(simulator.messages()).toHaveLength(2), 30_000)
  await simulator.idle()
  expect(simulator.messages().map(({ status }) => status)).toEqual(['undelivered', 'delivered'])
  expect(simulator.callbacks().every(({ answer_status }) => answer_status === 204)).toBe(true)

  await simulator.stop()
  await Promise.all([sender.close(), worker.stop()])
  server.close()
  server.closeAllConnections()
  await app.close()
}, 60_000)
