// The account is suspended for two virtual hours while 10,000 messages are due, and workers are killed meanwhile. Needs
// dist/.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { openSender } from '../../src/processes/sender.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { wasCreated } from '../../src/simulator/submission-answer.ts'
import { stateOf } from '../faults/checks.ts'
import { LiveClaims } from '../faults/live-claims.ts'
import { installVirtualClock, type VirtualClock } from '../faults/virtual-clock.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type CliProcess, startCli, untilReady } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

const MESSAGES = 10_000
/** Their deadline passes while the account is suspended. */
const TOO_LATE = 100
/** Their deadline passes after that. */
const IN_TIME = 100
const OUTAGE_SECONDS = 2 * 3600
/**
 * The simulator can answer so many requests on two busy cores. If it answers later than the 45 seconds that sms-retry
 * allows Twilio, a message is submitted twice, as docs/reliability.md says.
 */
const RATE = 200
/** So many attempts start at the same moment. */
const TOGETHER = RATE / 10

let database: TestDatabase
let clock: VirtualClock
let simulator: Simulator
let env: Record<string, string>
const claims = new LiveClaims()
const processes = new Map<string, CliProcess>()

beforeAll(async () => {
  database = await createTestDatabase()
  clock = await installVirtualClock(database)
  simulator = await startSimulator({ now: clock.now, callbackDelayMs: 5 })
  env = {
    ...simulatedEnvironment(simulator, { databaseUrl: database.url, port: await freePort(), delayScale: 1 }),
    SEND_RATE_PER_SECOND: `${RATE}`,
    LOG_LEVEL: 'warn',
  }
})

afterAll(async () => {
  for (const each of processes.values()) each.kill('SIGKILL')
  await Promise.all([...processes.values()].map(({ ended }) => ended))
  await simulator.close()
  await database.drop()
})

const launch = (name: string): void => void processes.set(name, startCli([name.split(' ')[0] ?? ''], env))

async function kill(name: string): Promise<void> {
  processes.get(name)?.kill('SIGKILL')
  await processes.get(name)?.ended
  launch(name)
}

async function enqueueAll(): Promise<void> {
  const sender = await openSender(openRuntime({ logger: silentLogger }, env, ['DATABASE_URL', 'sender']))
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  await client.query('begin')
  for (let i = 0; i < MESSAGES; i += 1) {
    const validForSeconds =
      i < TOO_LATE ? OUTAGE_SECONDS / 2 : i < TOO_LATE + IN_TIME ? 2 * OUTAGE_SECONDS : null
    const deadline = validForSeconds === null ? {} : { validForSeconds }
    const to = `+1206${5_550_000 + i}`
    await sender.enqueue({ userId: 1, to, body: `Message ${i}`, ...deadline }, { db: client })
  }
  await client.query('commit')
  await client.end()
  await sender.close()
}

interface HoldRow {
  /** The database's clock when the row was read. */
  readonly now: Date
  readonly probes: number
  readonly seconds_to_probe: number
}

async function readHold(): Promise<HoldRow | null> {
  const [row] = await database.query<HoldRow>(
    `select virtual.clock_timestamp() as "now", probes,
            extract(epoch from probe_at - virtual.now())::float8 as "seconds_to_probe"
       from sms_retry.account_state where held_since is not null`,
  )
  return row ?? null
}

/** @returns null if it has ended the hold */
async function nextProbe(probes: number): Promise<HoldRow | null> {
  const { row } = await waitFor(`probe ${probes + 1}`, async () => {
    const row = await readHold()
    return row === null || row.probes > probes ? { row } : false
  })
  return row
}

async function advance(seconds: number): Promise<void> {
  const isQuiet = async (client: pg.Client) =>
    (await claims.areSettled(client)) && simulator.openRequests() === 0
  while (!(await clock.advance(seconds, isQuiet))) await sleep(50)
}

/** Attempts that were claimed after this time, by the database's clock. */
async function claimedAfter(time: Date): Promise<number> {
  const rows = await database.query(
    `select from sms_usage_logs, jsonb_array_elements(sms_metadata -> 'attempts') attempt
      where (attempt -> 'times' ->> 'submitting')::timestamptz > $1`,
    [time],
  )
  return rows.length
}

test(`${MESSAGES} due messages survive two hours without an account, and kills`, async () => {
  simulator.setAccountStatus('suspended')
  await enqueueAll()
  const startedMs = clock.now()
  for (const name of ['web', 'worker 1', 'worker 2']) launch(name)
  await untilReady(env['PUBLIC_BASE_URL'] ?? '')
  const hold = await waitFor('the hold', readHold)

  // In virtual time from probe to probe.
  let now: HoldRow | null = hold
  while (now !== null && clock.now() - startedMs < OUTAGE_SECONDS * 1000) {
    const { probes }: HoldRow = now
    await advance(Math.max(now.seconds_to_probe, 0) + 0.1)
    // A killed worker may take its probe along: the other one makes the next.
    if (probes % 4 === 1) await kill(`worker ${1 + (probes % 2)}`)
    now = await nextProbe(probes)
  }
  expect(now).not.toBeNull()
  await waitFor('the last request', () => simulator.openRequests() === 0)
  // A claim that was written beside the fifth failure was under way. From here on, every claim sees the hold.
  const beyond = await claimedAfter(hold.now)
  process.stdout.write(
    `${now?.probes} probes; ${beyond} of ${simulator.messages().length} requests were claimed after the hold was visible\n`,
  )
  expect(beyond).toBeLessThan(50)
  expect(
    await database.query(`select from sms_usage_logs where final_status in ('failed', 'undelivered')`),
  ).toEqual([])

  simulator.setAccountStatus('active')
  await kill('worker 2')
  for (let state = await stateOf(database); state.open > 0; state = await stateOf(database)) {
    await waitFor('everything that is due', async () => {
      await simulator.idle()
      // The count reads all rows, and the simulator, which runs in this process, needs the processor.
      await sleep(1_000)
      return (await stateOf(database)).due === 0
    })
    await advance(Math.max((await stateOf(database)).nextSeconds, 0) + 1)
  }
  const statuses = await database.query<{ status: string; count: number }>(
    'select final_status as "status", count(*)::int as "count" from sms_usage_logs group by 1 order by 1',
  )
  expect(statuses).toEqual([
    { status: 'delivered', count: MESSAGES - TOO_LATE },
    { status: 'expired', count: TOO_LATE },
  ])
  expect(simulator.doubleSubmissions()).toEqual([])
  const accepted = simulator.messages().filter(({ answer }) => wasCreated(answer))
  expect(new Set(accepted.map(({ to }) => to)).size).toBe(accepted.length)
  const times = accepted.map(({ created_at_ms }) => created_at_ms).toSorted((one, other) => one - other)
  const tooEarly = times.filter((ms, i) => ms - (times[0] ?? 0) < ((i - TOGETHER) * 1000) / RATE - 10)
  expect(tooEarly).toEqual([])
  expect(await readHold()).toBeNull()
})
