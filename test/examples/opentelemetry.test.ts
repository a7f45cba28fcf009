// The app of examples/opentelemetry as a process of its own, with the simulator in Twilio's place. Needs dist/.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startCli } from '../support/process.ts'

const APP = fileURLToPath(new URL('../../examples/opentelemetry/app.ts', import.meta.url))
/** 30003, handset unreachable, at the first attempt. */
const NUMBER_THAT_FAILS_ONCE = '+15553000301'

let database: TestDatabase
let simulator: Simulator

beforeAll(async () => {
  database = await createTestDatabase()
  simulator = await startSimulator({ callbackDelayMs: 10 })
})

afterAll(async () => {
  await simulator.close()
  await database.drop()
})

test('the console shows the spans of a retried message, linked to the span of send in the trace of the app', async () => {
  const environment = { databaseUrl: database.url, port: await freePort(), delayScale: 0.001 }
  const env = { ...simulatedEnvironment(simulator, environment), TO: NUMBER_THAT_FAILS_ONCE }
  const app = startCli([], { ...env, LOG_LEVEL: 'error' }, APP)
  expect({ code: await app.ended, stderr: app.stderr() }).toEqual({ code: 0, stderr: '' })
  const spans = app.stdout().split(/^\}\n/m)
  const spansOf = (name: string): string[] => spans.filter((span) => span.includes(`name: '${name}'`))
  const idOf = (span = ''): string | undefined => /^ {2}id: '(\w+)'/m.exec(span)?.[1]
  const traceOf = (span = ''): string | undefined => /^ {2}traceId: '(\w+)'/m.exec(span)?.[1]

  const [checkout] = spansOf('checkout')
  const [send] = spansOf('sms-retry send')
  expect(send).toContain(`spanId: '${idOf(checkout)}'`)
  const [first, ...retries] = spansOf('sms-retry attempt')
  expect(traceOf(first)).toBe(traceOf(checkout))
  const outcomes = spansOf('sms-retry outcome')
  expect([retries.length, outcomes.length]).toEqual([1, 1])
  for (const span of [...retries, ...outcomes, ...spansOf('sms-retry callback')]) {
    expect(traceOf(span)).not.toBe(traceOf(checkout))
    expect(span).toMatch(new RegExp(`links: .*traceId: '${traceOf(checkout)}'.*spanId: '${idOf(send)}'`, 's'))
  }
})
