// GET /metrics of the web process: who may read it, what it reports on all processes, and that it has no personal data.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { pauseSending, resumeSending } from '../../src/db/account-row.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { type RunningWeb, startWeb } from '../../src/http/web.ts'
import { seriesOf } from '../support/metrics.ts'
import { basic, CREDENTIALS } from './dashboard/operator.ts'
import { closeLater, message, newWorld } from '../support/world-with.ts'
import { waitFor } from '../support/wait-for.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { capturingLogger, type LogLine, type World } from '../support/world.ts'
import { startDatabaseProxy } from './database-proxy.ts'
import * as endpoint from './endpoint.ts'

const TOKEN = 'a-token-of-24-characters'
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })

async function read(url: string): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`${url}/metrics`, { headers: bearer(TOKEN) })
  expect(response.status).toBe(200)
  return seriesOf(await response.text())
}

describe('access to /metrics', () => {
  let database: TestDatabase
  let target: endpoint.Endpoint

  beforeEach(async () => {
    database = await createTestDatabase()
    target = await endpoint.startEndpoint(database.url, { METRICS_TOKEN: TOKEN })
  })

  afterEach(async () => {
    await target.stop()
    await database.drop()
  })

  const get = (headers: Record<string, string>, method = 'GET'): Promise<Response> =>
    fetch(`${target.url}/metrics`, { method, headers })

  test.each<[what: string, headers: Record<string, string>]>([
    ['with the token', bearer(TOKEN)],
    ['with the scheme in lower case', { Authorization: `bearer ${TOKEN}` }],
  ])('is granted %s, in Prometheus’s text format', async (_what, headers) => {
    const response = await get(headers)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.text()).toContain('# TYPE sms_retry_callbacks_total counter')
  })

  test.each<[what: string, headers: Record<string, string>]>([
    ['without a token', {}],
    ['with an empty token', { Authorization: 'Bearer ' }],
    ['with another token', bearer('another-token-of-24-char')],
    ['with a prefix of the token', bearer(TOKEN.slice(0, -1))],
    ['with the token and one more character', bearer(`${TOKEN}x`)],
    ['with the token twice', bearer(`${TOKEN} ${TOKEN}`)],
    ['with the token in upper case', bearer(TOKEN.toUpperCase())],
    ['with the token without a scheme', { Authorization: TOKEN }],
    ['with the token as a password', { Authorization: `Basic ${btoa(`metrics:${TOKEN}`)}` }],
    ['with the token under another scheme', { Authorization: `Token ${TOKEN}` }],
    ['with the token in another header', { 'X-Metrics-Token': TOKEN }],
  ])('is refused %s: 401 without any metric', async (_what, headers) => {
    const response = await get(headers)
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toBe('Bearer')
    expect(await response.text()).toBe('Unauthorized\n')
  })

  test('is limited to ten wrong tokens a minute; a request without a token does not count', async () => {
    const tries = async (headers: Record<string, string>, count: number): Promise<number[]> => {
      const answers = await Promise.all(Array.from({ length: count }, () => get(headers)))
      return answers.map(({ status }) => status)
    }
    expect(await tries({}, 20)).toEqual(Array(20).fill(401))
    expect((await get(bearer(TOKEN))).status).toBe(200)
    expect((await tries(bearer('guess'), 30)).toSorted()).toEqual([
      ...Array<number>(10).fill(401),
      ...Array<number>(20).fill(429),
    ])
    const right = await get(bearer(TOKEN))
    expect(right.status).toBe(429)
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await get({})).status).toBe(401)
    const lines = target.log.filter(({ message }) => message === 'Metrics: wrong token')
    expect(lines).toMatchObject([{ level: 'warn', fields: { address: '127.0.0.1', notLogged: 0 } }])
    expect(JSON.stringify(target.log)).not.toContain('guess')
  })

  test('shares the limit of its address with wrong passwords of the dashboard', async () => {
    const both = await endpoint.startEndpoint(database.url, { ...CREDENTIALS, METRICS_TOKEN: TOKEN })
    closeLater(() => both.stop())
    const statuses: number[] = []
    for (let n = 0; n < 12; n += 1) {
      const [path, headers] =
        n % 2 === 0
          ? ['/metrics', bearer('guess')]
          : ['/queue', { Authorization: basic('operator', 'guess') }]
      statuses.push((await fetch(both.url + path, { headers })).status)
    }
    expect(statuses).toEqual([...Array<number>(10).fill(401), 429, 429])
  })

  test('is refused with the token in the URL', async () => {
    expect((await fetch(`${target.url}/metrics?token=${TOKEN}`)).status).toBe(401)
  })

  test('is limited to GET and HEAD', async () => {
    const response = await get(bearer(TOKEN), 'POST')
    expect({ status: response.status, allow: response.headers.get('allow') }).toEqual({
      status: 405,
      allow: 'GET, HEAD',
    })
  })

  test('does not exist without METRICS_TOKEN: 404 for every request', async () => {
    const silent = await endpoint.startEndpoint(database.url)
    closeLater(() => silent.stop())
    for (const headers of [{}, bearer(TOKEN), bearer('')]) {
      expect((await fetch(`${silent.url}/metrics`, { headers })).status).toBe(404)
    }
  })

  test('each callback is counted by its result', async () => {
    const row = await endpoint.insertSentRow(database)
    const path = endpoint.statusPath(row.id)
    const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
    const requests: [result: string, request: Partial<endpoint.CallbackRequest>][] = [
      ['recorded', {}],
      ['ignored', {}],
      ['unknown_message', { path: endpoint.statusPath(999_999) }],
      ['bad_signature', { authToken: 'another' }],
      [
        'unknown_status',
        { fields: { ...fields, MessageStatus: 'partially_delivered', SmsStatus: 'partially_delivered' } },
      ],
      ['unreadable', { fields: { ...fields, MessageStatus: 'received' } }],
      ['other_account', { fields: { ...fields, AccountSid: `AC${'f'.repeat(32)}` } }],
      ['too_large', { fields: { ...fields, More: 'x'.repeat(20_000) } }],
      ['wrong_type', { headers: { 'Content-Type': 'application/json' } }],
    ]
    for (const [, request] of requests) await endpoint.post(target, { path, fields, ...request })
    const series = await read(target.url)
    for (const [result] of requests) {
      expect([result, series.get(`sms_retry_callbacks_total{result="${result}"}`)]).toEqual([result, 1])
    }
    expect(series.get('sms_retry_retries_scheduled_total{code="30003"}')).toBe(1)
    expect(series.get('sms_retry_callback_duration_seconds_count')).toBe(requests.length)
    expect(series.get('sms_retry_callback_duration_seconds_sum')).toBeGreaterThan(0)
  })
})

describe('the content of /metrics', () => {
  async function newWeb(world: World): Promise<RunningWeb> {
    const log: LogLine[] = []
    const env = { ...world.env, PORT: '0' }
    const web = await startWeb(openRuntime({ logger: capturingLogger(log) }, env, ['DATABASE_URL']))
    closeLater(() => web.stop())
    return web
  }

  /** One message is delivered by the first attempt, one by a retry, and one fails permanently. */
  async function sendSome(world: World): Promise<void> {
    for (const to of ['+12065550199', '+15553000301', '+15552161001']) {
      await world.sender.send(message({ to }))
    }
    await waitFor('all to be final', async () => {
      const open = await world.database.query(
        `select 1 from sms_usage_logs where final_status not in ('delivered', 'failed')`,
      )
      return open.length === 0
    })
  }

  const OF_ALL = {
    'sms_retry_submissions_total{outcome="accepted",error_class="none"}': 3,
    'sms_retry_submissions_total{outcome="rejected",error_class="permanent"}': 1,
    'sms_retry_retries_scheduled_total{code="30003"}': 1,
    'sms_retry_outcomes_total{status="delivered",retried="no"}': 1,
    'sms_retry_outcomes_total{status="delivered",retried="yes"}': 1,
    'sms_retry_outcomes_total{status="failed",retried="no"}': 1,
    sms_retry_submission_duration_seconds_count: 4,
    sms_retry_delivery_duration_seconds_count: 2,
    sms_retry_attempt_lateness_seconds_count: 1,
  }

  test('every web process reports on all processes, before and after they stop', async () => {
    const world = await newWorld({ env: { METRICS_TOKEN: TOKEN } })
    const other = await newWeb(world)
    await world.startWorker()
    await sendSome(world)
    // Worker and sender write their counters every 15 s and when they stop.
    await world.worker()?.stop()
    await world.sender.close()
    const [first, second] = [await read(world.web.url), await read(other.url)]
    for (const series of [first, second]) {
      expect(Object.fromEntries([...series].filter(([name]) => name in OF_ALL))).toEqual(OF_ALL)
      expect(series.get('sms_retry_instances{role="web"}')).toBe(2)
      expect(series.get('sms_retry_instances{role="worker"}')).toBe(0)
      expect(series.get('sms_retry_database_up')).toBe(1)
      expect(series.get('sms_retry_messages{status="sent"}')).toBe(0)
    }
    const counters = (series: ReadonlyMap<string, number>) =>
      [...series].filter(([name]) => /_total\b|_count|_bucket/.test(name)).toSorted()
    expect(counters(second)).toEqual(counters(first))
  })

  test('shows a hold and a pause in the next scrape, and their end', async () => {
    const world = await newWorld({ env: { METRICS_TOKEN: TOKEN, RETRY_DELAY_SCALE: '1' } })
    const { database } = world.openRuntime()
    closeLater(() => database.close())
    const holds = async (): Promise<(number | undefined)[]> => {
      const series = await read(world.web.url)
      return ['hold', 'pause'].map((kind) => series.get(`sms_retry_hold{kind="${kind}"}`))
    }
    const ages = async (): Promise<(number | undefined)[]> => {
      const series = await read(world.web.url)
      return ['hold', 'pause'].map((kind) => series.get(`sms_retry_hold_age_seconds{kind="${kind}"}`))
    }
    expect(await holds()).toEqual([0, 0])
    await pauseSending(database, 'somebody', null)
    expect(await holds()).toEqual([0, 1])
    await resumeSending(database)
    // Twilio refuses each with 20003, a code of the account.
    for (let n = 0; n < 5; n += 1) await world.sender.send(message({ to: '+15552000301' }))
    expect(await holds()).toEqual([1, 0])
    await pauseSending(database, 'somebody', null)
    expect(await holds()).toEqual([1, 1])
    await database.executeSql(
      `update sms_retry.account_state
          set held_since = held_since - interval '1 hour', paused_since = paused_since - interval '2 hours'`,
    )
    expect((await ages()).map((seconds = 0) => Math.floor(seconds / 3600))).toEqual([1, 2])
    await resumeSending(database)
    expect(await holds()).toEqual([0, 0])
    expect(await ages()).toEqual([0, 0])
  })

  test('shows the messages that failed for good by code, also after the process has stopped', async () => {
    const world = await newWorld({ env: { METRICS_TOKEN: TOKEN } })
    for (const to of ['+15553000701', '+15553000701', '+15552161001', '+15554567809'])
      await world.sender.send(message({ to }))
    await world.startWorker()
    const failures = async () => {
      const series = [...(await read(world.web.url))].filter(([name]) => name.includes('failures_total'))
      return Object.fromEntries(series.map(([name, value]) => [/"(.*)"/.exec(name)?.[1], value]))
    }
    await waitFor('all to fail', async () => {
      const open = await world.database.query(`select 1 from sms_usage_logs where success is not false`)
      const retrying = await world.database.query(
        `select 1 from sms_usage_logs where final_status = 'retrying'`,
      )
      return open.length + retrying.length === 0
    })
    await world.worker()?.stop()
    await world.sender.close()
    expect(await failures()).toEqual({ '21610': 1, '30007': 2, other: 1 })
  })

  test('shows the outcomes that the app does not have, and those whose deliveries are used up', async () => {
    const world = await newWorld({ env: { METRICS_TOKEN: TOKEN, OUTCOME_EVENTS: 'true' } })
    await world.sender.send(message({ to: '+15552161001' }))
    await world.database.query(
      `insert into sms_retry_pgboss.job (name, data, policy)
       select 'outcome_failed', '{}', 'standard' from generate_series(1, 3)`,
    )
    const series = await read(world.web.url)
    expect(series.get('sms_retry_open_outcomes{state="waiting"}')).toBe(1)
    expect(series.get('sms_retry_open_outcomes{state="failed"}')).toBe(3)
  })

  test('leaves out the open outcomes, and nothing else, if the tables of the queue are missing', async () => {
    const world = await newWorld({ env: { METRICS_TOKEN: TOKEN } })
    await world.database.query('drop schema sms_retry_pgboss cascade')
    const series = await read(world.web.url)
    expect(series.get('sms_retry_database_up')).toBe(1)
    expect(series.get('sms_retry_attempts_due')).toBe(0)
    expect([...series.keys()].filter((name) => name.includes('open_outcomes'))).toEqual([])
    expect(
      world.log.filter(({ message }) => message === 'Metrics served without the open outcomes'),
    ).toMatchObject([{ level: 'warn' }])
  })

  test('shows the messages that wait for their send window', async () => {
    // It opens in eleven hours or more.
    const at = (hoursFromNow: number): string =>
      `${new Date(Date.now() + hoursFromNow * 3_600_000).toISOString().slice(11, 13)}:00`
    const window = `${at(12)}-${at(13)}`
    const env = { METRICS_TOKEN: TOKEN, SEND_WINDOW: window, SEND_WINDOW_TIME_ZONE: 'UTC' }
    const world = await newWorld({ env })
    for (let n = 0; n < 3; n += 1) await world.sender.send(message())
    await world.sender.send({ ...message(), sendWindow: 'any', sendAfter: new Date(Date.now() + 3_600_000) })
    const series = await read(world.web.url)
    expect(series.get('sms_retry_messages_waiting_for_window')).toBe(3)
    expect(series.get('sms_retry_attempts_deferred')).toBe(4)
  })

  test('contains no phone number, no sid and no message text', async () => {
    const world = await newWorld({ env: { METRICS_TOKEN: TOKEN } })
    await world.startWorker()
    await sendSome(world)
    await world.worker()?.stop()
    const response = await fetch(`${world.web.url}/metrics`, { headers: bearer(TOKEN) })
    const text = await response.text()
    const rows = await world.database.query<{ phone_number: string; message_content: string; sid: string }>(
      'select phone_number, message_content, twilio_message_sid as "sid" from sms_usage_logs',
    )
    expect(rows).toHaveLength(3)
    for (const { phone_number: number, message_content: content, sid } of rows) {
      for (const secret of [number.slice(1), number.slice(-7), content, sid ?? 'SM'])
        expect(text).not.toContain(secret)
    }
    const [stored] = await world.database.query<{ text: string }>(
      `select string_agg(metrics::text, ' ') as "text" from sms_retry.instance`,
    )
    expect(stored?.text).not.toMatch(/2065550199|SM[0-9a-f]{32}|AC[0-9a-f]{32}/)
  })
})

describe('/metrics without a database', () => {
  test('reports the outage and no counters, and everything once the database is back', async () => {
    const database = await createTestDatabase()
    closeLater(() => database.drop())
    const proxy = await startDatabaseProxy(database.url, await freePort())
    closeLater(() => proxy.close())
    const target = await endpoint.startEndpoint(proxy.url, { METRICS_TOKEN: TOKEN })
    closeLater(() => target.stop())
    const row = await endpoint.insertSentRow(database)
    const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
    const post = () => endpoint.post(target, { path: endpoint.statusPath(row.id), fields })
    await post()
    const before = await read(target.url)
    await proxy.set('away')
    expect(await post()).toMatchObject({ status: 503 })
    const away = await read(target.url)
    expect(away.get('sms_retry_database_up')).toBe(0)
    expect([...away.keys()].filter((name) => /_total|_count|_bucket|_sum/.test(name))).toEqual([])
    expect(away.get('sms_retry_pool_connections{state="waiting"}')).toBe(0)

    await proxy.set('there')
    const after = await waitFor('the database', async () => {
      const series = await read(target.url)
      return series.get('sms_retry_database_up') === 1 && series
    })
    const count = (series: ReadonlyMap<string, number>, result: string) =>
      series.get(`sms_retry_callbacks_total{result="${result}"}`)
    expect(count(before, 'recorded')).toBe(1)
    expect(count(after, 'recorded')).toBe(1)
    // The outage was counted as well.
    expect(count(after, 'not_recorded')).toBe(1)
  })

  test('treats a database that is not migrated as unreachable', async () => {
    const database = await createTestDatabase(null)
    closeLater(() => database.drop())
    const target = await endpoint.startEndpoint(database.url, { METRICS_TOKEN: TOKEN })
    closeLater(() => target.stop())
    expect((await read(target.url)).get('sms_retry_database_up')).toBe(0)
    expect(target.log.filter(({ level }) => level === 'error')).toEqual([])
  })
})
