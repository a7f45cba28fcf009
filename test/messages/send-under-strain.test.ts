// Tests sending during short database failures, by hundreds of callers at once, and on an outdated table.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { SchemaError } from '../../src/shared/errors.ts'
import { openRuntime, type Runtime } from '../../src/processes/runtime.ts'
import { openSender } from '../../src/processes/sender.ts'
import { SIMULATOR_ACCOUNT_SID, SIMULATOR_AUTH_TOKEN } from '../../src/simulator/simulator.ts'
import { runWorker } from '../../src/processes/worker.ts'
import { type DatabaseProxy, startDatabaseProxy } from '../http/database-proxy.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type Answering, answerWith, startFakeTwilio } from '../support/fake-twilio.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

let database: TestDatabase
let proxy: DatabaseProxy
const cleanUps: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  database = await createTestDatabase()
  proxy = await startDatabaseProxy(database.url, await freePort())
  cleanUps.push(
    () => database.drop(),
    () => proxy.close(),
  )
})

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function runtimeWith(answer: Answering): Promise<Runtime> {
  const twilio = await startFakeTwilio(answer)
  cleanUps.push(() => twilio.close())
  const env = {
    DATABASE_URL: proxy.url,
    PUBLIC_BASE_URL: 'http://127.0.0.1:1',
    TWILIO_ACCOUNT_SID: SIMULATOR_ACCOUNT_SID,
    TWILIO_AUTH_TOKEN: SIMULATOR_AUTH_TOKEN,
    TWILIO_FROM_NUMBER: '+12065550100',
    TWILIO_API_BASE_URL: twilio.url,
  }
  return openRuntime({ logger: silentLogger }, env, ['sender'])
}

const REFUSAL = answerWith(400, { code: 21610, message: 'Opted out', status: 400 })

function message(i: number): { userId: number; to: string; body: string } {
  return { userId: i, to: '+12065550199', body: `Text ${i}` }
}

test('an answer is recorded after a short database failure', async () => {
  const runtime = await runtimeWith(async (response, post) => {
    await proxy.set('away')
    REFUSAL(response, post)
    // Long enough for the first try to fail, short enough for the last one to succeed.
    await sleep(600)
    await proxy.set('there')
  })
  const sender = await openSender(runtime)
  cleanUps.push(() => sender.close())
  expect(await sender.send(message(1))).toMatchObject({ status: 'failed', errorCode: 21610 })
  expect(await database.query('select final_status from sms_usage_logs')).toEqual([
    { final_status: 'failed' },
  ])
})

test('an answer that cannot be recorded leaves the message in doubt, and is logged', async () => {
  const runtime = await runtimeWith(async (response, post) => {
    await proxy.set('away')
    REFUSAL(response, post)
  })
  const sender = await openSender(runtime)
  cleanUps.push(() => sender.close())
  expect(await sender.send(message(1))).toMatchObject({ id: 1, status: 'in_doubt' })
  await proxy.set('there')
  expect(await database.query('select final_status from sms_usage_logs')).toEqual([
    { final_status: 'submitting' },
  ])
})

test('hundreds of concurrent sends use no more requests than the concurrency limit', async () => {
  let underWay = 0
  let most = 0
  const runtime = await runtimeWith(async (response, post) => {
    underWay += 1
    most = Math.max(most, underWay)
    await waitFor('all turns to be taken', () => most === runtime.config.twilio.concurrency)
    underWay -= 1
    REFUSAL(response, post)
  })
  const sender = await openSender(runtime)
  cleanUps.push(() => sender.close())
  const results = await Promise.all(Array.from({ length: 160 }, (_, i) => sender.send(message(i))))
  expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['failed']))
  // The limit is reached, and not exceeded.
  expect(most).toBe(runtime.config.twilio.concurrency)
})

test.each([
  ['a sender', openSender],
  ['a worker', runWorker],
])('%s does not start on an outdated table, and says what to do', async (_what, start) => {
  await database.query(`delete from sms_retry.migrations where name = '005-in-flight-index'`)
  const starting = start(await runtimeWith(REFUSAL))
  await expect(starting).rejects.toThrow(SchemaError)
  await expect(starting).rejects.toThrow('sms-retry migrate')
  await waitFor('its connections to be closed', async () => {
    const open = await database.query(
      `select 1 from pg_stat_activity where application_name = 'sms-retry' and datname = current_database()`,
    )
    return open.length === 0
  })
})
