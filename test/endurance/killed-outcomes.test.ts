// Web process and workers are killed 200 times, at any moment, while messages are sent. Afterwards, each final status has
// exactly one stored outcome, and the app has received each outcome at least once. Needs dist/.
import { expect, test } from '@jest/globals'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { Webhook } from 'standardwebhooks'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import type { Outcome } from '../../src/outcomes/outcome-event.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { openSender } from '../../src/processes/sender.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { createRandom } from '../../src/simulator/seeded-random.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type CliProcess, startCli } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

const KILLS = 200
const MESSAGES_PER_KILL = 3
/** Delivered, delivered by a retry, undelivered after all retries, refused, undelivered for good. */
const RECIPIENTS = ['+12065550111', '+15553000301', '+15553000303', '+15552121101', '+15553000701']
const SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
/** A killed worker's jobs run again after a minute or two. */
const MAX_WAIT_MS = 300_000

const SEED = Number(process.env['KILL_SEED'] ?? 1)

test('after 200 kills, each final status was told at least once, by one outcome', async () => {
  const database = await createTestDatabase()
  const receiver = await startReceiver()
  const simulator = await startSimulator({ callbackDelayMs: 10 })
  const port = await freePort()
  const env = {
    ...simulatedEnvironment(simulator, { databaseUrl: database.url, port, delayScale: 0.01 }),
    OUTCOME_EVENTS: 'true',
    OUTCOME_WEBHOOK_URL: receiver.url,
    OUTCOME_WEBHOOK_SECRET: SECRET,
  }
  const sender = await openSender(openRuntime({ logger: silentLogger }, env, ['sender']))
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const random = createRandom(SEED)
  const processes: CliProcess[] = []
  const start = (role: 'web' | 'worker'): CliProcess => {
    const process = startCli([role], env)
    processes.push(process)
    return process
  }
  try {
    const running: ['web' | 'worker', CliProcess][] = [
      ['web', start('web')],
      ['worker', start('worker')],
      ['worker', start('worker')],
    ]
    for (let kill = 0; kill < KILLS; kill += 1) {
      for (let n = 0; n < MESSAGES_PER_KILL; n += 1) {
        const to = RECIPIENTS[(kill * MESSAGES_PER_KILL + n) % RECIPIENTS.length] ?? ''
        await sender.enqueue({ userId: 1, to, body: `Message ${kill} ${n}` }, { db: client })
      }
      // A start takes about half a second of processor time: some processes are killed before they are ready, and the
      // tests beside this one keep a core.
      await sleep(100 + random() * 1_400)
      const victim = running.shift()
      if (victim === undefined) throw new Error('No process is running')
      const [role, process] = victim
      process.kill('SIGKILL')
      running.push([role, start(role)])
    }
    await untilOver(database)
    expect(simulator.doubleSubmissions()).toEqual([])

    const messages = await database.query<{ id: number; status: string }>(
      `select id, final_status as "status" from sms_usage_logs order by id`,
    )
    expect(messages).toHaveLength(KILLS * MESSAGES_PER_KILL)
    const stored = await database.query<{ id: string; message: number; status: string }>(
      `select distinct data ->> 'id' as "id", (data ->> 'message')::integer as "message", data ->> 'status' as "status"
         from sms_retry_pgboss.job where name = 'outcome' order by 2`,
    )
    expect(stored.map(({ message, status }) => ({ id: message, status }))).toEqual(messages)
    const received = receiver.outcomes()
    const unknown = received.filter(({ id }) => !stored.some((outcome) => outcome.id === id))
    expect(unknown).toEqual([])
    const ids = new Set(received.map(({ id }) => id))
    expect(stored.filter(({ id }) => !ids.has(id))).toEqual([])
    process.stderr.write(
      `${KILLS} kills, ${messages.length} messages, ${stored.length} outcomes, ${received.length} deliveries\n`,
    )
  } finally {
    for (const process of processes) process.kill('SIGKILL')
    await Promise.all(processes.map(({ ended }) => ended))
    await sender.close()
    await client.end()
    await simulator.close()
    receiver.close()
    await database.drop()
  }
})

/** Every message is final, and no outcome waits. */
async function untilOver(database: TestDatabase): Promise<void> {
  const isOver = async (query: string): Promise<boolean> => {
    const [row] = await database.query<{ open: number }>(query)
    return row?.open === 0
  }
  await waitFor(
    'every message to be final',
    () =>
      isOver(
        `select count(*)::integer as "open" from sms_usage_logs
          where final_status not in ('delivered', 'undelivered', 'failed')`,
      ),
    MAX_WAIT_MS,
  )
  await waitFor(
    'every outcome to be delivered',
    () =>
      isOver(
        `select count(*)::integer as "open" from sms_retry_pgboss.job
          where name in ('outcome', 'outcome_failed') and state <> 'completed'`,
      ),
    MAX_WAIT_MS,
  )
}

/** Takes what has a good signature, and refuses one in ten. */
async function startReceiver() {
  const outcomes: Outcome[] = []
  let requests = 0
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    requests += 1
    // Some processes are killed during a delivery.
    await sleep((requests % 7) * 50)
    if (requests % 10 === 0) return void response.writeHead(503).end()
    const body = Buffer.concat(chunks).toString()
    const { data } = new Webhook(SECRET).verify(body, request.headers as Record<string, string>) as {
      data: Outcome
    }
    outcomes.push(data)
    response.writeHead(204).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    outcomes: () => outcomes,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
