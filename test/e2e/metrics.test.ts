// Two web processes, a worker and an app's sender, as they run behind a load balancer: a scrape may reach either web
// process, and processes stop and die. Whatever is asked in turn, no counter is lower than it was before.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { openSender, type Sender } from '../../src/processes/sender.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { seriesOf } from '../support/metrics.ts'
import { type CliProcess, startCli, untilReady } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

const TOKEN = 'a-token-of-24-characters'
const SUBMITTED = 'sms_retry_submissions_total{outcome="accepted",error_class="none"}'
const RECORDED = 'sms_retry_callbacks_total{result="recorded"}'

let database: TestDatabase
let sender: Sender
let worker: CliProcess
let webs: { readonly url: string; readonly process: CliProcess }[] = []
const cleanUps: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  cleanUps.push(() => database.drop())
  const simulator = await startSimulator({ callbackDelayMs: 10 })
  cleanUps.push(() => simulator.close())
  const ports = [await freePort(), await freePort()]
  const [port = 0] = ports
  const env = {
    ...simulatedEnvironment(simulator, { databaseUrl: database.url, port, delayScale: 0.001 }),
    METRICS_TOKEN: TOKEN,
  }
  webs = ports.map((each) => ({
    url: `http://127.0.0.1:${each}`,
    process: startCli(['web'], { ...env, PORT: `${each}` }),
  }))
  worker = startCli(['worker'], env)
  cleanUps.push(async () => {
    for (const { child, ended } of [worker, ...webs.map(({ process }) => process)]) {
      child.kill('SIGKILL')
      await ended
    }
  })
  for (const { url } of webs) await untilReady(url)
  sender = await openSender(openRuntime({ logger: silentLogger }, env, ['sender']))
  cleanUps.push(() => sender.close())
})

afterAll(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
})

let highest: ReadonlyMap<string, number> = new Map()

/** Asks each web process that is left, and holds every counter against the answer before. */
async function scrape(): Promise<ReadonlyMap<string, number>> {
  for (const { url } of webs) {
    const response = await fetch(`${url}/metrics`, { headers: { Authorization: `Bearer ${TOKEN}` } })
    const series = seriesOf(await response.text())
    const counters = [...highest].filter(([name]) => /_total\b|_count\b|_bucket\b/.test(name))
    const lower = counters.filter(([name, value]) => (series.get(name) ?? -1) < value)
    expect(lower).toEqual([])
    highest = series
  }
  return highest
}

const untilScraped = (what: string, condition: (series: ReadonlyMap<string, number>) => boolean) =>
  waitFor(what, async () => condition(await scrape()))

async function databaseTime(): Promise<unknown> {
  const [now] = await database.query('select clock_timestamp()::text as "time"')
  return now?.['time']
}

/** Every process writes its counts each 15 s. */
const untilWritten = (role: 'worker' | 'sender', since: unknown) =>
  waitFor(`the ${role} to write its counts`, async () => {
    const written = await database.query(
      'select 1 from sms_retry.instance where role = $1 and seen_at > $2::timestamptz',
      [role, since],
    )
    return written.length > 0
  })

/** Half of them delivered at once, half by a retry. */
async function send(messages: number): Promise<void> {
  for (let n = 0; n < messages; n += 1) {
    await sender.send({ userId: 7, to: n % 2 === 0 ? '+12065550199' : '+15553000101', body: `Hello ${n}` })
  }
  await waitFor('all to be delivered', async () => {
    const open = await database.query(`select 1 from sms_usage_logs where final_status <> 'delivered'`)
    return open.length === 0
  })
}

test('all processes are there, and what each of them has counted', async () => {
  await untilScraped(
    'four processes',
    (series) =>
      series.get('sms_retry_instances{role="web"}') === 2 &&
      series.get('sms_retry_instances{role="worker"}') === 1 &&
      series.get('sms_retry_instances{role="sender"}') === 1,
  )
  await send(10)
  const sent = await databaseTime()
  for (const role of ['worker', 'sender'] as const) {
    await untilWritten(role, sent)
    await scrape()
  }
  // The sender's ten and the worker's five.
  await untilScraped('15 submissions', (series) => series.get(SUBMITTED) === 15)
})

test('a worker that is killed takes nothing with it, and is missed a minute later', async () => {
  worker.kill('SIGKILL')
  await worker.ended
  expect((await scrape()).get(SUBMITTED)).toBe(15)
  await database.query(
    `update sms_retry.instance set seen_at = seen_at - interval '1 minute' where role = 'worker'`,
  )
  const series = await scrape()
  expect(series.get('sms_retry_instances{role="worker"}')).toBe(0)
  expect(series.get(SUBMITTED)).toBe(15)
})

test('a web process that is stopped takes nothing with it', async () => {
  const before = (await scrape()).get(RECORDED) ?? 0
  expect(before).toBeGreaterThan(0)
  const [first, ...others] = webs
  first?.process.kill('SIGTERM')
  expect(await first?.process.ended).toBe(0)
  webs = others
  const series = await scrape()
  expect(series.get('sms_retry_instances{role="web"}')).toBe(1)
  expect(series.get(RECORDED)).toBe(before)
  const rows = await database.query<{ role: string }>('select role from sms_retry.instance order by role')
  // The killed worker's row was removed with that of the web process.
  expect(rows.map(({ role }) => role)).toEqual(['sender', 'web'])
})
