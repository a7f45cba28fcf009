// The main job: messages with a mixed script of failures through real web and worker processes. Registers its tests;
// a test file says how many messages there are.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createRetryPolicy, ruleFor } from '../../src/delivery/retry-policy.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { openSender, type Sender } from '../../src/processes/sender.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { type SimulatedMessage, type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type CliProcess, startCli, untilReady } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

const POLICY = createRetryPolicy()

/** Code and number of failing attempts, and whether the code comes with the API's answer. Null: delivered at once. */
const SCRIPTS: readonly ({ code: number; failures: number } | null)[] = [
  null,
  null,
  { code: 30003, failures: 1 },
  { code: 30003, failures: 2 },
  { code: 30003, failures: 9 },
  { code: 30001, failures: 1 },
  { code: 30001, failures: 3 },
  { code: 30001, failures: 4 },
  { code: 30002, failures: 2 },
  { code: 30004, failures: 1 },
  { code: 30005, failures: 1 },
  { code: 30006, failures: 1 },
  { code: 30007, failures: 1 },
  { code: 30008, failures: 1 },
  { code: 39999, failures: 1 },
  { code: 39999, failures: 5 },
  { code: 21610, failures: 1 },
  { code: 21211, failures: 1 },
  { code: 21611, failures: 1 },
  { code: 21611, failures: 9 },
]

interface Row {
  readonly id: number
  readonly final_status: string
  readonly success: boolean
  readonly retry_count: number
  readonly next_retry_at: Date | null
  readonly error_message: string | null
  readonly attempts: readonly { number: number; times: Record<string, string>; error_code?: number }[]
}

let database: TestDatabase
let simulator: Simulator
let sender: Sender
const processes: CliProcess[] = []
/** What to undo, the last first; also after a set-up that failed in the middle. */
const cleanUps: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  cleanUps.push(() => database.drop())
  simulator = await startSimulator({
    callbackDelayMs: 20,
    chaos: { duplicateCallbacks: 0.1, reorderCallbacks: 0.1, rateLimit: 0.05 },
  })
  cleanUps.push(() => simulator.close())
  const port = await freePort()
  const env = simulatedEnvironment(simulator, { databaseUrl: database.url, port, delayScale: 0.01 })
  processes.push(startCli(['web'], env), startCli(['worker'], env), startCli(['worker'], env))
  cleanUps.push(async () => {
    for (const process of processes) process.kill('SIGTERM')
    // An orderly stop is part of the job.
    expect(await Promise.all(processes.map(({ ended }) => ended))).toEqual([0, 0, 0])
  })
  await untilReady(env.PUBLIC_BASE_URL)
  sender = await openSender(openRuntime({ logger: silentLogger }, env, ['sender']))
  cleanUps.push(() => sender.close())
})

afterAll(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
})

export function testMessages(count: number): void {
  test(`${count} messages end as their script and the policy say, no attempt early, none made twice`, () =>
    expectOutcomes(count))

  test('the jobs agree with the rows: none waits when every message is final', async () => {
    const jobs = await database.query(
      `select id from sms_retry_pgboss.job where name = 'attempt' and state in ('created', 'retry')`,
    )
    expect(jobs).toEqual([])
  })

  test('no process logged a phone number or a text at the default level', () => {
    const printed = processes.map(({ stdout, stderr }) => stdout() + stderr()).join('')
    expect(printed).toContain('Attempt submitted')
    expect(printed).not.toMatch(/\+1\d{10}/)
    expect(printed).not.toContain('A text nobody may read')
  })
}

/** Only a failure waits so long. */
const MAX_WAIT_MS = 300_000

async function expectOutcomes(count: number): Promise<void> {
  const ids = await sendAll(count)
  await waitFor('every row to be final', async () => (await countNotFinal()) === 0, MAX_WAIT_MS)
  await simulator.idle()

  const rows = await database.query<Row>(
    `select id, final_status, success, retry_count, next_retry_at, error_message, sms_metadata -> 'attempts' as attempts
       from sms_usage_logs order by id`,
  )
  expect(rows).toHaveLength(count)
  const submissions = submissionsByMessage()
  const faults = rows.flatMap((row) => {
    const script = SCRIPTS[(ids.get(row.id) ?? 0) % SCRIPTS.length] ?? null
    return faultsOf(row, script, submissions.get(row.id) ?? [])
  })
  expect(faults).toEqual([])
  expect(simulator.doubleSubmissions()).toEqual([])
}

/** Row id -> place in the list; half sent, half enqueued. */
async function sendAll(count: number): Promise<Map<number, number>> {
  const ids = new Map<number, number>()
  const places = Array.from({ length: count }, (_, i) => i).values()
  const runtime = openRuntime({ logger: silentLogger }, { DATABASE_URL: database.url }, ['DATABASE_URL'])
  const sendSome = async (): Promise<void> => {
    for (const i of places) {
      const message = { userId: i, to: recipientOf(i), body: `A text nobody may read, number ${i}` }
      // Several lists of ten scripts each are sent; the next are enqueued.
      const isSent = Math.floor(i / SCRIPTS.length) % 2 === 0
      const { id } = isSent
        ? await sender.send(message)
        : await runtime.database.transaction((db) => sender.enqueue(message, { db }))
      ids.set(id, i)
    }
  }
  await Promise.all(Array.from({ length: 4 }, sendSome))
  await runtime.database.close()
  return ids
}

function recipientOf(i: number): string {
  const script = SCRIPTS[i % SCRIPTS.length] ?? null
  return script === null ? '+12065550111' : `+1555${script.code}${String(script.failures).padStart(2, '0')}`
}

async function countNotFinal(): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    `select count(*)::int as count from sms_usage_logs
      where final_status not in ('delivered', 'undelivered', 'failed', 'expired', 'canceled')`,
  )
  return row?.count ?? Number.NaN
}

/** The POSTs that Twilio looked at, by our message id: accepted and refused ones, not those answered with 429. */
function submissionsByMessage(): Map<number, SimulatedMessage[]> {
  const byMessage = new Map<number, SimulatedMessage[]>()
  for (const message of simulator.messages()) {
    if (message.answer !== 'accepted' && message.answer !== 'refused') continue
    const id = Number(new URL(message.status_callback ?? '').searchParams.get('message'))
    byMessage.set(id, [...(byMessage.get(id) ?? []), message])
  }
  return byMessage
}

function faultsOf(
  row: Row,
  script: (typeof SCRIPTS)[number],
  submissions: readonly SimulatedMessage[],
): string[] {
  const rule = script === null ? null : ruleFor(POLICY, script.code)
  const allowed = rule === null || rule.action !== 'retry' ? 0 : rule.retries
  const failures = script === null ? 0 : script.failures
  const isDelivered = failures <= allowed
  const retries = Math.min(failures, allowed)

  const faults: string[] = []
  const check = (what: string, actual: unknown, expected: unknown): void => {
    if (actual !== expected) {
      faults.push(
        `message ${row.id} (${JSON.stringify(script)}): ${what} is ${String(actual)}, not ${String(expected)}`,
      )
    }
  }
  check('the number of submissions', submissions.length, retries + 1)
  check('retry_count', row.retry_count, retries)
  check('success', row.success, isDelivered)
  check('delivered', row.final_status === 'delivered', isDelivered)
  check('next_retry_at', row.next_retry_at, null)
  check('a reason on the row', row.error_message === null, isDelivered)
  check('the number of attempts on the row', row.attempts.length, retries + 1)
  for (const n of row.attempts.keys()) {
    if (n > 0 && rule !== null && 'baseDelaySeconds' in rule) {
      // By the database's clock: scheduled when the failure was recorded, claimed at or after that plus the delay.
      const times = row.attempts[n]?.times ?? {}
      const waitedMs = Date.parse(times['submitting'] ?? '') - Date.parse(times['pending'] ?? '')
      const delayMs = rule.baseDelaySeconds * 2 ** (n - 1) * 10
      check(`retry ${n} not before its due time`, waitedMs >= delayMs - 1, true)
    }
  }
  return faults
}
