// The causes of findings, made with real processes, a real database and the simulator: what `readHealth` finds, and what
// status, the pages and /metrics show. Rules and thresholds are tested in test/delivery/health.test.ts. Instead of waiting,
// times in the tables are moved back. Needs dist/.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { parseConfig } from '../../src/config/config.ts'
import { createBoss } from '../../src/jobs/boss.ts'
import { Instance } from '../../src/processes/instance.ts'
import { readHealth } from '../../src/processes/health-watch.ts'
import { FAILED_OUTCOME_QUEUE } from '../../src/jobs/queue-migration.ts'
import { readHeartbeats } from '../../src/db/instances.ts'
import type { Database, Db } from '../../src/postgres/pool.ts'
import { runCli } from '../cli/run-cli.ts'
import { open } from '../db/original-table.ts'
import { get, SIGNED_IN, CREDENTIALS } from '../http/dashboard/operator.ts'
import { POLICY } from '../delivery/build-message.ts'
import * as endpoint from '../http/endpoint.ts'
import { callbackFields, newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newMetrics } from '../support/metrics.ts'
import { startCli } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'

const METRICS_TOKEN = '0123456789abcdef0123456789abcdef'
const WEB = { ...CREDENTIALS, METRICS_TOKEN }

async function metricsOf(url: string): Promise<string[]> {
  const response = await fetch(`${url}/metrics`, { headers: { Authorization: `Bearer ${METRICS_TOKEN}` } })
  return (await response.text()).split('\n').filter((line) => /^sms_retry_finding\{.*\} 1$/.test(line))
}

async function statusOf(env: Record<string, string>): Promise<{ code: number | null; findings: string[] }> {
  const { code, stdout } = await runCli(['status', '--json'], env)
  const { findings } = JSON.parse(stdout) as { findings: { name: string }[] }
  return { code, findings: findings.map(({ name }) => name) }
}

describe('a worker that is killed', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld({ env: { ...WEB, RETRY_DELAY_SCALE: '1' } })
  })
  afterAll(() => world.stop())

  test('is missed within a minute by status, the pages and /metrics', async () => {
    const worker = startCli(['worker'], world.env)
    await waitFor('the worker to have a heartbeat', async () => {
      const rows = await world.database.query(`select from sms_retry.instance where role = 'worker'`)
      return rows.length > 0
    })
    // Its first retry is due in two minutes.
    await world.sender.send({ userId: 7, to: '+15553000201', body: 'Hello' })
    await waitFor('the retry to wait', async () => {
      const rows = await world.database.query(`select from sms_usage_logs where final_status = 'retrying'`)
      return rows.length > 0
    })
    expect(await statusOf(world.env)).toEqual({ code: 0, findings: [] })
    expect((await get(world.web, '/')).text).not.toContain('aria-label="Incidents"')
    expect(await metricsOf(world.web.url)).toEqual([])

    worker.kill('SIGKILL')
    await worker.ended
    // A minute passes, less the ten seconds for which the figures of a page may be cached.
    await world.database.query(
      `update sms_retry.instance set seen_at = seen_at - interval '50 s' where role = 'worker'`,
    )
    expect(await statusOf(world.env)).toEqual({ code: 1, findings: ['no_worker'] })
    const { code, stdout } = await runCli(['status'], world.env)
    expect(code).toBe(1)
    expect(stdout).toMatch(/^critical {2}No worker has run for (5\d s|\d min.*); 1 attempt waits\. /m)

    await waitFor('the pages to say so', async () =>
      (await get(world.web, '/')).text.includes('data-finding="no_worker"'),
    )
    const [row] = await world.database.query<{ id: number }>('select id from sms_usage_logs')
    for (const path of [
      '/',
      '/error-codes',
      '/messages',
      `/messages/${row?.id}`,
      '/queue',
      '/queue/outcomes',
    ]) {
      const { text } = await get(world.web, path)
      expect([
        path,
        text.match(/<section class="note banner findings bad" aria-label="Incidents">/)?.length,
      ]).toEqual([path, 1])
      expect(text).toMatch(
        /<div role="status"><ul><li data-finding="no_worker">.*critical.*<a href="\/queue" aria-label="Show details: no worker">/s,
      )
    }
    expect(await metricsOf(world.web.url)).toEqual([
      'sms_retry_finding{name="no_worker",severity="critical"} 1',
    ])
  })
})

describe('status callbacks', () => {
  let world: World
  let web: endpoint.Endpoint
  beforeAll(async () => {
    // No callback arrives. The worker's lookups find what Twilio has delivered.
    world = await startWorld({ simulator: { chaos: { dropCallbacks: 1 } } })
    web = await endpoint.startEndpoint(world.database.url, WEB)
    await world.startWorker()
  })
  afterAll(async () => {
    await web.stop()
    await world.stop()
  })

  test('that do not arrive are found by the lookups of the sweep', async () => {
    const names = async (): Promise<string[]> => (await statusOf(world.env)).findings
    for (let n = 0; n < 5; n += 1)
      await world.sender.send({ userId: 7, to: `+1206555010${n}`, body: 'Hello' })
    await waitFor('the lookups to find all deliveries', async () => {
      const rows = await world.database.query(`select from sms_usage_logs where final_status = 'delivered'`)
      return rows.length === 5
    })
    expect(await names()).toEqual([])
    // The web processes have run for ten minutes without a callback.
    const moved = `interval '10 min'`
    await world.database.query(
      `update sms_retry.instance set started_at = started_at - ${moved} where role = 'web'`,
    )
    await world.database.query(`update sms_retry.departed set callback_at = callback_at - ${moved}`)
    await waitFor('the heartbeats after the lookups', async () =>
      (await names()).includes('callbacks_stopped'),
    )
  })

  test('that are refused are counted if their URL has the key of the message, and forged ones are not', async () => {
    const rows = await world.database.query<{ id: number; key: string }>(
      `select id, sms_metadata ->> 'callback_key' as key from sms_usage_logs order by id limit 3`,
    )
    const refuse = async (id: number, key: string): Promise<void> => {
      const path = `/twilio/status?attempt=0&key=${key}&message=${id}`
      const fields = callbackFields(endpoint.ACCOUNT_SID, newSid(), 'delivered')
      const { status } = await endpoint.post(web, { path, fields, authToken: 'another token' })
      expect(status).toBe(403)
    }
    const names = async (): Promise<string[]> => {
      // A scrape writes the heartbeat of its process.
      await metricsOf(web.url)
      return (await statusOf(world.env)).findings
    }
    // The right form of a key, and ids that exist: no forger knows more.
    for (let n = 0; n < 30; n += 1) await refuse(rows[n % 3]?.id ?? 0, `${n}`.padStart(16, 'k'))
    await refuse(rows[0]?.id ?? 0, rows[0]?.key ?? '')
    expect(await names()).not.toContain('callbacks_refused')
    const [message] = rows
    for (let n = 0; n < 5; n += 1) await refuse(message?.id ?? 0, message?.key ?? '')
    expect(await names()).not.toContain('callbacks_refused')

    await waitFor('the refusals of three messages to be counted', async () => {
      for (const { id, key } of rows) await refuse(id, key)
      // The lookups that the forged requests have used up come back one by one.
      rows.push(...rows.splice(0, 1))
      return (await names()).includes('callbacks_refused')
    })
    expect((await get(web, '/', { Authorization: SIGNED_IN })).status).toBe(200)
  })
})

describe('what the database shows', () => {
  let own: TestDatabase
  let database: Database
  beforeAll(async () => {
    own = await createTestDatabase()
    database = open(own, 3)
    // No rate limit was used for a day.
    await own.query(`update sms_retry.send_rate set next_at = now() - interval '1 day'`)
  })
  beforeEach(async () => {
    await own.query('truncate sms_usage_logs, sms_retry.instance')
    await insertInstance('worker', {})
  })
  afterAll(async () => {
    await database.close()
    await own.drop()
  })

  const found = async (): Promise<string[]> =>
    (await readHealth(database)).findings.map(({ name, severity }) => `${severity} ${name}`)

  /** A process that runs for an hour. Its heartbeats are those of the next minute. */
  async function insertInstance(role: string, settings: object, version = '1.0.0'): Promise<void> {
    await own.query(
      `insert into sms_retry.instance (id, role, host, pid, version, started_at, seen_at, metrics, settings, activity)
       values (gen_random_uuid(), $1, 'app', 1, $2, now() - interval '1 h', now() + interval '1 min', '[]', $3,
               '{"claimed": null, "callback": null, "missed": [], "refused": []}')`,
      [role, version, settings],
    )
  }

  /** Messages that were created at even intervals within the last `seconds`. */
  async function insertMessages(
    count: number,
    seconds: number,
    { status = 'delivered', metadata = {} as object, dueAgo = null as number | null },
  ): Promise<void> {
    await own.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                                   final_status, success, next_retry_at, sms_metadata)
       select 7, '+12065550199', 'outbound', 5, 'Hello', now() at time zone 'UTC' - n * make_interval(secs => $2::float8 / $1::integer),
              $3::text, $3::text not in ('undelivered', 'retrying'), now() - make_interval(secs => $4::float8), $5::jsonb
         from generate_series(1, $1::integer) as n`,
      [count, seconds, status, dueAgo, metadata],
    )
  }

  test('a quiet installation has no finding', async () => {
    await insertMessages(500, 7 * 86_400, {})
    expect(await found()).toEqual([])
  })

  test('an attempt that is due for long is overdue, unless sending is paused or limited', async () => {
    await insertMessages(1, 900, { status: 'retrying', dueAgo: 600 })
    expect(await found()).toEqual(['critical retries_overdue'])
    await own.query(`update sms_retry.send_rate set next_at = now() + interval '1 min'`)
    expect(await found()).toEqual([])
    await own.query(`update sms_retry.send_rate set next_at = now() - interval '1 day'`)
    await own.query(`update sms_retry.account_state set paused_since = now(), paused_by = 'Ann'`)
    expect(await found()).toEqual(['warning paused'])
    await own.query(`update sms_retry.account_state set paused_since = null`)
  })

  test('attempts in doubt are found, also when no lookup follows', async () => {
    const attempts = [{ number: 0, status: 'submitting', times: { submitting: '2026-01-01T00:00:00.000Z' } }]
    await insertMessages(1, 60, { status: 'submitting', metadata: { attempts, reconcile_at: 'infinity' } })
    expect(await found()).toEqual(['critical in_doubt'])
  })

  test('an outcome in the dead letter queue', async () => {
    const { boss } = await createBoss(database, silentLogger, { migrate: false, supervise: false })
    await boss.start()
    await boss.send(FAILED_OUTCOME_QUEUE, { id: 'outcome' })
    await boss.stop({ graceful: false, close: false })
    expect(await found()).toEqual(['warning outcomes_failed'])
    await own.query('delete from sms_retry_pgboss.job')
  })

  test('processes of two versions, with two settings', async () => {
    await insertInstance('web', { outcomeEvents: true }, '1.1.0')
    expect(await found()).toEqual(['warning versions_differ', 'warning settings_differ'])
    await own.query(`update sms_retry.instance set started_at = now() where version = '1.1.0'`)
    expect(await found()).toEqual([])
  })

  test('processes with two retry policies, accounts and send windows', async () => {
    const settings = { outcomeEvents: false, policy: 'aaa', account: 'AC…000001', sendWindow: 'none' }
    await own.query('truncate sms_retry.instance')
    await insertInstance('worker', settings)
    await insertInstance('web', settings)
    await insertInstance('sender', { outcomeEvents: false })
    expect(await found()).toEqual([])
    await insertInstance('sender', {
      ...settings,
      policy: 'bbb',
      account: 'AC…000002',
      sendWindow: '08:00-21:00',
    })
    const { findings } = await readHealth(database)
    expect(findings.map(({ name }) => name)).toEqual(Array(3).fill('settings_differ'))
  })

  test('a code that jumped, counted by the latest code of each message', async () => {
    await insertMessages(2000, 7 * 86_400, {})
    await insertMessages(10, 7 * 86_400, { status: 'undelivered', metadata: { retry_reason: 30007 } })
    await insertMessages(300, 3500, {})
    expect(await found()).toEqual([])
    // A value that is no code must not fail the statement.
    await insertMessages(60, 3500, { status: 'undelivered', metadata: { retry_reason: 'none' } })
    expect(await found()).toEqual([])
    await insertMessages(60, 3500, { status: 'undelivered', metadata: { retry_reason: 30007 } })
    const { findings } = await readHealth(database)
    expect(findings).toMatchObject([
      { name: 'code_jumped', severity: 'critical', path: '/error-codes/30007' },
    ])
    expect(findings[0]?.sentence).toMatch(
      /^30007 \(.*\): 1[34]\.\d % of .* last hour failed with it, 0\.5 % in/,
    )
  })

  test('an exited process leaves the time of the last worker and of the last callback', async () => {
    await own.query('truncate sms_retry.instance')
    await own.query('update sms_retry.departed set worker_seen_at = null, callback_at = null')
    for (const role of ['worker', 'web'] as const) {
      const metrics = newMetrics(POLICY)
      metrics.activity.callback()
      const instance = new Instance(
        { database, metrics, logger: silentLogger, config: parseConfig({}, []), policy: POLICY },
        role,
      )
      await instance.start()
      await instance.stop()
    }
    const [row] = await own.query<{ worker: number; callback: number }>(
      `select extract(epoch from now() - worker_seen_at)::float8 as worker,
              extract(epoch from now() - callback_at)::float8 as callback from sms_retry.departed`,
    )
    expect(row).toEqual({ worker: expect.any(Number), callback: expect.any(Number) })
    // A process that dies may have had a callback until its last heartbeat.
    await own.query('update sms_retry.departed set callback_at = null')
    await insertInstance('web', {})
    await own.query(`update sms_retry.instance set seen_at = now() - interval '2 min'`)
    const next = new Instance(
      {
        database,
        metrics: newMetrics(POLICY),
        logger: silentLogger,
        config: parseConfig({}, []),
        policy: POLICY,
      },
      'sender',
    )
    await next.start()
    await next.stop()
    const [died] = await own.query<{ isKept: boolean }>(
      `select callback_at between now() - interval '5 min' and now() - interval '2 min' as "isKept" from sms_retry.departed`,
    )
    expect(died?.isKept).toBe(true)
  })

  test('a worker that stops while the heartbeats are read is not lost between the statements', async () => {
    await own.query('update sms_retry.departed set worker_seen_at = null')
    let isStopped = false
    const { instances, exited } = await readHeartbeats({
      async executeSql(text, values) {
        const result = await database.executeSql(text, values)
        if (!isStopped) {
          isStopped = true
          await own.query(`update sms_retry.departed set worker_seen_at = now()`)
          await own.query('delete from sms_retry.instance')
        }
        return result
      },
    } as Db)
    expect([...instances.map(({ role }) => role), exited.workerSeenAt]).not.toEqual([null])
  })

  // Last: nothing restores the queue.
  test('a queue that lacks a part, is of an older version, or is gone', async () => {
    await own.query(`update sms_retry_pgboss.version set version = version - 1`)
    expect(await found()).toEqual(['critical queue_missing'])
    await own.query(`update sms_retry_pgboss.version set version = version + 1`)
    expect(await found()).toEqual([])
    await own.query('drop schema sms_retry_pgboss cascade')
    expect(await found()).toEqual(['critical queue_missing'])
    expect(await statusOf({ DATABASE_URL: own.url })).toEqual({ code: 1, findings: ['queue_missing'] })
  })
})
