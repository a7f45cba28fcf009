// The Grafana dashboard and the alert rules against a real Prometheus that scrapes real processes with traffic: every query
// is valid and returns data. Needs dist/.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type CliProcess, startCli, untilReady } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'
import { read, ROOT } from './compose-file.ts'
import { findTool } from './prometheus-tools.ts'

interface Target {
  readonly expr: string
  readonly datasource: { readonly uid: string }
  readonly instant?: boolean
}

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number }
  readonly targets?: readonly Target[]
}

interface Dashboard {
  readonly schemaVersion: number
  readonly panels: readonly Panel[]
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly query: string }[]
  }
}

const dashboard = JSON.parse(await read('deploy/grafana/dashboard.json')) as Dashboard
const panels = dashboard.panels.filter(({ type }) => type !== 'row')
const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))

/** Panels that may be empty while all is well, and why. */
const MAY_BE_EMPTY = new Map([['Findings', 'there is no series without a finding']])

describe('the Grafana dashboard', () => {
  test('takes its data source from a variable', () => {
    expect(dashboard.templating.list).toMatchObject([
      { name: 'datasource', type: 'datasource', query: 'prometheus' },
    ])
    const sources = panels.flatMap(({ targets = [] }) => targets.map(({ datasource }) => datasource.uid))
    expect(sources.length).toBeGreaterThan(20)
    for (const source of sources) expect(source).toMatch(/^\$\{datasource\}$/)
  })

  test('has the schema of Grafana 12, and panels that every Grafana has', () => {
    expect(dashboard.schemaVersion).toBe(41)
    expect(new Set(panels.map(({ type }) => type))).toEqual(new Set(['table', 'stat', 'timeseries']))
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length)
  })

  test('has panels that explain themselves and do not overlap', () => {
    const taken = new Set<string>()
    for (const { title, description, gridPos } of panels) {
      expect([title, description]).toEqual([title, expect.stringMatching(/\.$/)])
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect([title, taken.has(`${x} ${y}`)]).toEqual([title, false])
          taken.add(`${x} ${y}`)
        }
    }
  })

  test('shows every metric of the table in docs/operations.md', async () => {
    const table = [...(await read('docs/operations.md')).matchAll(/^\| `(sms_retry_\w+)` \|/gm)]
    const shown = queries.map(({ expr }) => expr).join(' ')
    // Its age is shown instead.
    const missing = table
      .map(([, name = '']) => name)
      .filter((name) => !new RegExp(`${name}(_bucket)?\\b`).test(shown))
    expect(missing).toEqual(['sms_retry_hold'])
  })
})

const prometheus = findTool('prometheus')
const TOKEN = 'a-token-for-prometheus'
const SECRET = `whsec_${Buffer.from('a secret of thirty-two characters').toString('base64')}`
const MESSAGES: readonly (readonly [to: string, outcome: string])[] = [
  ['+12065550199', 'delivered'],
  ['+15553000301', 'delivered'],
  ['+15552161001', 'failed'],
  ['+15553000701', 'undelivered'],
]

describe(`Prometheus${prometheus.note}`, () => {
  const ends: (() => Promise<unknown>)[] = []
  let address: string

  /** Calls Prometheus's API. */
  async function ask<Data>(path: string, parameters: Record<string, string> = {}): Promise<Data> {
    const response = await fetch(`${address}/api/v1/${path}?${new URLSearchParams(parameters)}`)
    const answer = (await response.json()) as { status: string; data: Data; error?: string }
    if (answer.status !== 'success') throw new Error(answer.error)
    return answer.data
  }

  /** The series of an expression that have a value which is a number. */
  async function seriesOf(expr: string): Promise<unknown[]> {
    const query = expr.replaceAll('$__rate_interval', '10m').replaceAll('$__range', '1h')
    const { result } = await ask<{ result: { value: [number, string] }[] }>('query', { query })
    return result.filter(({ value: [, value] }) => Number.isFinite(Number(value)))
  }

  beforeAll(async () => {
    if (prometheus.note !== '') return
    const database = await createTestDatabase()
    ends.push(() => database.drop())
    const simulator = await startSimulator({ callbackDelayMs: 10 })
    ends.push(() => simulator.close())
    const port = await freePort()
    const env = {
      ...simulatedEnvironment(simulator, { databaseUrl: database.url, port, delayScale: 0.001 }),
      ...{ METRICS_TOKEN: TOKEN, OUTCOME_EVENTS: 'true' },
      // Nobody listens: deliveries fail, and outcomes wait.
      ...{ OUTCOME_WEBHOOK_URL: `http://127.0.0.1:${CLOSED_PORT}`, OUTCOME_WEBHOOK_SECRET: SECRET },
    }
    await startProcesses(env, port)
    address = await startPrometheus(`127.0.0.1:${port}`)
    // Prometheus sees an increase only between two samples.
    await waitFor('a first scrape', async () => (await seriesOf('sms_retry_outcomes_total')).length > 0)
    await sendAll(env, database)
  })

  afterAll(async () => {
    for (const end of ends.reverse()) await end()
  })

  async function startProcesses(env: Record<string, string>, port: number): Promise<void> {
    const processes: CliProcess[] = ['web', 'worker'].map((command) => startCli([command], env))
    ends.push(async () => {
      for (const each of processes) each.kill('SIGTERM')
      await Promise.all(processes.map(({ ended }) => ended))
    })
    await untilReady(`http://127.0.0.1:${port}`)
  }

  async function sendAll(env: Record<string, string>, database: TestDatabase): Promise<void> {
    for (const [to] of MESSAGES)
      await startCli(['send', '--to', to, '--user', '7', '--body', 'Hello'], env).ended
    await waitFor('every message to be final', async () => {
      const rows = await database.query<{ status: string }>(
        'select final_status as "status" from sms_usage_logs order by id',
      )
      return MESSAGES.every(([, outcome], i) => rows[i]?.status === outcome)
    })
  }

  /** With the configuration and the rules of deploy/, but for the address, the token and the intervals. */
  async function startPrometheus(target: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'sms-retry-prometheus-'))
    ends.push(() => rm(folder, { recursive: true }))
    await writeFile(join(folder, 'token'), TOKEN)
    const config = (await read('deploy/prometheus/prometheus.yml'))
      .replace('/run/secrets/metrics_token', join(folder, 'token'))
      .replace('alerts.yml', fileURLToPath(new URL('deploy/prometheus/alerts.yml', ROOT)))
      .replace("'web:3000'", `'${target}'`)
      .replaceAll(/interval: 15s/g, 'interval: 1s')
    await writeFile(join(folder, 'prometheus.yml'), config)
    const listen = `127.0.0.1:${await freePort()}`
    const child = spawn(
      'prometheus',
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=${listen}`,
      ],
      { stdio: 'ignore' },
    )
    ends.push(async () => {
      const ended = once(child, 'close')
      child.kill('SIGTERM')
      await ended
    })
    await waitFor('Prometheus to be ready', () =>
      fetch(`http://${listen}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      ),
    )
    return `http://${listen}`
  }

  prometheus.test('scrapes the web process with the configuration of deploy/', async () => {
    await waitFor('the figures of all processes', async () => {
      // The worker writes its figures every 15 s.
      const delivered = await seriesOf('sms_retry_outcomes_total{status="delivered",retried="yes"} > 0')
      const late = await seriesOf('sms_retry_attempt_lateness_seconds_count > 0')
      const failed = await seriesOf('sms_retry_outcome_deliveries_total{result="failed"} > 0')
      return delivered.length * late.length * failed.length > 0
    })
  })

  prometheus.test.each(queries)('answers a query of the panel "$title": $expr', async ({ title, expr }) => {
    // It rejects if Prometheus cannot parse the query.
    if (MAY_BE_EMPTY.has(title)) return expect(seriesOf(expr)).resolves.toBeDefined()
    // A rate needs two samples.
    await waitFor(`data for ${expr}`, async () => (await seriesOf(expr)).length > 0, 30_000)
  })

  prometheus.test('evaluates every alert rule without an error', async () => {
    type Rules = { groups: { rules: { name: string; health: string; lastError?: string }[] }[] }
    const rules = await waitFor('the rules to be evaluated', async () => {
      const all = (await ask<Rules>('rules')).groups.flatMap((group) => group.rules)
      return all.every(({ health }) => health !== 'unknown') && all
    })
    expect(rules.length).toBeGreaterThan(10)
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([])
  })
})
