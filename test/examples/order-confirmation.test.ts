// The app of examples/order-confirmation as it would run: a process of its own, behind a reverse proxy, with the
// simulator in Twilio's place. Needs dist/, which `npm test` builds.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type CliProcess, startCli } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'
import { type ReverseProxy, startReverseProxy } from './reverse-proxy.ts'

const APP = fileURLToPath(new URL('../../examples/order-confirmation/app.ts', import.meta.url))
const WORKING_NUMBER = '+12065550199'
/** 30003, handset unreachable, at the first attempt. */
const NUMBER_THAT_FAILS_ONCE = '+15553000301'

let database: TestDatabase
let simulator: Simulator
let proxy: ReverseProxy
let app: CliProcess

beforeAll(async () => {
  database = await createTestDatabase()
  simulator = await startSimulator({ callbackDelayMs: 10 })
  const port = await freePort()
  proxy = await startReverseProxy('/shop', port)
  app = startCli(
    [],
    {
      ...simulatedEnvironment(simulator, { databaseUrl: database.url, port, delayScale: 0.001 }),
      PUBLIC_BASE_URL: `${proxy.url}/sms`,
    },
    APP,
  )
  await waitFor('the shop', async () => (await fetch(`${proxy.url}/orders/0`)).status === 404)
})

afterAll(async () => {
  app.kill('SIGKILL')
  await app.ended
  await proxy.close()
  await simulator.close()
  await database.drop()
})

const order = (phone: string): Promise<Response> =>
  fetch(`${proxy.url}/orders`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ phone, item: 'a book' }),
  })

test.each([
  ['at its first attempt', WORKING_NUMBER, 0],
  ['by a retry', NUMBER_THAT_FAILS_ONCE, 1],
])('an order is confirmed %s, and its status callbacks come in through the proxy', async (_how, phone, retries) => {
  const answer = await order(phone)
  expect(answer.status).toBe(201)
  const { order: id } = (await answer.json()) as { order: number }
  const confirmed = { item: 'a book', confirmation: 'delivered', retries }
  const found = await waitFor('the delivery', async () => {
    const row = (await (await fetch(`${proxy.url}/orders/${id}`)).json()) as typeof confirmed
    return row.confirmation === 'delivered' ? row : null
  })
  expect(found).toEqual(confirmed)
  await simulator.idle()
  expect(simulator.messages().filter(({ to }) => to === phone)).toHaveLength(retries + 1)
  expect(proxy.paths).toContainEqual(
    expect.stringMatching(/^\/shop\/sms\/twilio\/status\?attempt=\d+&key=[\w-]+&message=/),
  )
  // None was refused, nor had to be asked for.
  expect(simulator.callbacks().every(({ answer_status }) => answer_status === 204)).toBe(true)
})

test('a message that cannot be sent is no order', async () => {
  const before = await database.query('select count(*) from shop_order')
  expect(await order('nobody')).toMatchObject({ status: 400 })
  expect(await database.query('select count(*) from shop_order')).toEqual(before)
})

test('told to stop, it ends by itself', async () => {
  app.kill('SIGTERM')
  expect(await app.ended).toBe(0)
})
