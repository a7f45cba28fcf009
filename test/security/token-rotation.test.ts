// The auth token is rotated under load, by the drill of docs/security.md: real processes, replaced one after the other
// as a deployment does it. At no moment is a genuine callback refused, or an attempt submitted with a token that Twilio
// does not accept.
import { afterEach, expect, test } from '@jest/globals'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { openSender } from '../../src/processes/sender.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { createTestDatabase } from '../support/database.ts'
import { type CliProcess, startCli, untilReady } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'
import { closeLater } from '../support/world-with.ts'

const OLD = 'a'.repeat(32)
const NEW = 'b'.repeat(32)
const DELIVERED = '+12065550199'
/** Fails once, by a callback, and is tried again 300 ms later. */
const RECOVERING = '+15553000301'

const ENQUEUE_EVERY_MS = 100

const processes: CliProcess[] = []

afterEach(() => {
  for (const process of processes.splice(0)) process.kill('SIGKILL')
})

test('from the old token to the new one without a gap', async () => {
  const drill = await startDrill()
  await drill.deploy(OLD)
  await drill.untilMoreAreDelivered()

  // 1. A secondary token is made at Twilio, and the processes are told of it.
  drill.simulator.setAuthToken(OLD, NEW)
  await drill.deploy(`${NEW},${OLD}`)
  await drill.untilMoreAreDelivered()

  // 2. It is made the primary one: it signs from now on, and the old one is worth nothing at once.
  drill.simulator.setAuthToken(NEW)
  await drill.untilMoreAreDelivered()

  // 3. The processes forget the old one.
  await drill.deploy(NEW)
  await drill.untilMoreAreDelivered()

  await drill.end()
  const callbacks = drill.simulator.callbacks()
  expect(callbacks.length).toBeGreaterThan(100)
  expect(callbacks.filter(({ answer_status }) => answer_status !== 204)).toEqual([])
  expect(processes.map(({ stderr }) => stderr())).toEqual(processes.map(() => ''))
  // A submission that Twilio did not accept would be there with its code, 20003.
  expect(await drill.outcomes()).toEqual([
    { final_status: 'delivered', codes: [] },
    { final_status: 'delivered', codes: [30003] },
  ])
})

/** Messages are enqueued all the time; every other one fails once. */
async function startDrill() {
  const database = await createTestDatabase()
  closeLater(() => database.drop())
  const simulator = await startSimulator({ authToken: OLD, callbackDelayMs: 20 })
  closeLater(() => simulator.close())
  const front = await startFront()
  closeLater(() => front.close())
  const env = simulatedEnvironment(simulator, { databaseUrl: database.url, port: 0, delayScale: 0.001 })
  const sender = await openSender(
    openRuntime({ logger: silentLogger }, { ...env, PUBLIC_BASE_URL: front.url }, []),
  )
  closeLater(() => sender.close())
  const app = new pg.Client({ connectionString: database.url })
  await app.connect()
  closeLater(() => app.end())

  let isOver = false
  const enqueueing = enqueue()
  // If the test fails before its end, this does as well.
  enqueueing.catch(() => undefined)
  closeLater(() => {
    isOver = true
    return enqueueing
  })
  async function enqueue(): Promise<void> {
    for (let i = 0; !isOver; i += 1) {
      await sender.enqueue(
        { userId: 1, to: i % 2 === 0 ? DELIVERED : RECOVERING, body: `Text ${i}` },
        { db: app },
      )
      await sleep(ENQUEUE_EVERY_MS)
    }
  }

  const count = async (condition: string): Promise<number> =>
    (await database.query(`select 1 from sms_usage_logs where ${condition}`)).length
  let running: CliProcess[] = []
  return {
    simulator,
    /** As a deployment does it: the next web process is there before the last one goes; of workers, any number. */
    async deploy(tokens: string): Promise<void> {
      const port = await freePort()
      const settings = {
        ...env,
        PORT: `${port}`,
        PUBLIC_BASE_URL: front.url,
        TWILIO_AUTH_TOKEN: tokens,
        LOG_LEVEL: 'warn',
      }
      const next = [startCli(['web'], settings), startCli(['worker'], settings)]
      processes.push(...next)
      await untilReady(`http://127.0.0.1:${port}`)
      front.lead(port)
      await stop(running)
      running = next
    },
    /** All that have been enqueued until now, so that nothing from before is under way any more; and some later ones. */
    async untilMoreAreDelivered(): Promise<void> {
      const [last] = await database.query<{ id: number }>('select max(id) as "id" from sms_usage_logs')
      await waitFor('what was enqueued to be delivered', async () => {
        const ids = `id <= ${last?.id ?? 0}`
        return (await count(`${ids} and final_status <> 'delivered'`)) === 0
      })
      const before = await count(`final_status = 'delivered' and retry_count = 1`)
      await waitFor('more messages to be delivered', async () => {
        return (await count(`final_status = 'delivered' and retry_count = 1`)) > before + 5
      })
    },
    /** Enqueues no more; waits until everything is delivered; stops. */
    async end(): Promise<void> {
      isOver = true
      await enqueueing
      await waitFor(
        'everything to be delivered',
        async () => (await count(`final_status <> 'delivered'`)) === 0,
      )
      await simulator.idle()
      await stop(running)
    },
    outcomes: () =>
      database.query(
        `select distinct final_status, jsonb_path_query_array(sms_metadata, '$.attempts[*].error_code') as "codes"
           from sms_usage_logs order by "codes"`,
      ),
  }
}

async function stop(running: readonly CliProcess[]): Promise<void> {
  for (const process of running) process.kill('SIGTERM')
  expect(await Promise.all(running.map(({ ended }) => ended))).toEqual(running.map(() => 0))
}

/** What stands before the web processes in a deployment, and leads to the current one. */
async function startFront() {
  let port = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    client.pipe(upstream).pipe(client)
    // The end of one is the end of the other.
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => undefined)
      one.on('close', () => other.destroy())
    }
    sockets.add(client)
    client.on('close', () => sockets.delete(client))
  })
  const own = await freePort()
  await new Promise<void>((resolve) => server.listen(own, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${own}`,
    lead(to: number): void {
      port = to
    },
    close(): Promise<unknown> {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}
