// The alert rules: every rule fires on its cause and on nothing else, by promtool; names only metrics that exist; and leads
// to a section of the documents.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { type AlertCase, CASES, type Series, USUAL } from './alert-cases.ts'
import { read, ROOT } from './compose-file.ts'
import { findTool, runPromtool } from './prometheus-tools.ts'

const RULES = fileURLToPath(new URL('deploy/prometheus/alerts.yml', ROOT))
const text = await read('deploy/prometheus/alerts.yml')

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: Readonly<Record<string, string>>
}
const { groups } = parse(text) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)

const promtool = findTool('promtool')

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sms-retry-alerts-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** What promtool says about these alerts after six hours with these series. Only the expected one may fire. */
async function runRules(series: Series, alerts: readonly string[], expected: AlertCase | null = null) {
  const tested = rules.filter(({ alert }) => alerts.includes(alert))
  const alert_rule_test = tested.map(({ alert: alertname, labels, annotations }) => {
    const fired = {
      exp_labels: { ...labels, ...expected?.labels },
      exp_annotations: { ...annotations, ...expected?.texts },
    }
    return { eval_time: '6h', alertname, exp_alerts: alertname === expected?.alert ? [fired] : [] }
  })
  const input_series = Object.entries(series).map(([name, values]) => ({ series: name, values }))
  const tests = [{ interval: '1m', input_series, alert_rule_test }]
  // JSON is YAML. The rules that are not tested would only take time.
  const ruleFile = await write('rules.yml', { groups: [{ name: 'tested', rules: tested }] })
  return runPromtool([
    'test',
    'rules',
    await write('test.yml', { rule_files: [ruleFile], evaluation_interval: '1m', tests }),
  ])
}

async function write(name: string, content: object): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, JSON.stringify(content))
  return file
}

const names = rules.map(({ alert }) => alert)
const OK = { code: 0, output: expect.stringContaining('SUCCESS') }

describe(`the alert rules${promtool.note}`, () => {
  promtool.test('are valid', () => {
    expect(runPromtool(['check', 'rules', RULES])).toEqual(OK)
  })

  promtool.test('are in a valid configuration of Prometheus', async () => {
    // promtool looks for the file of the token.
    const token = join(folder, 'token')
    await writeFile(token, 'x')
    const config = (await read('deploy/prometheus/prometheus.yml'))
      .replace('/run/secrets/metrics_token', token)
      .replace('alerts.yml', RULES)
    const file = join(folder, 'prometheus.yml')
    await writeFile(file, config)
    expect(runPromtool(['check', 'config', file])).toEqual(OK)
  })

  promtool.test('do not fire on a usual day', async () => {
    expect(await runRules(USUAL, names)).toEqual(OK)
  })

  promtool.test('do not wake a person for refused callbacks of a database restart that is over', async () => {
    const burst = { 'sms_retry_callbacks_total{result="not_recorded"}': '0x352 3x48' }
    expect(await runRules({ ...USUAL, ...burst }, ['SmsCallbacksNotRecorded'])).toEqual(OK)
  })

  promtool.test('do not report late attempts while there are hardly any others', async () => {
    // One every five minutes, each of them late.
    const seldom = Array.from({ length: 400 }, (_, minute) => Math.floor(minute / 5)).join(' ')
    const late = {
      'sms_retry_attempt_lateness_seconds_bucket{le="1"}': '0x400',
      'sms_retry_attempt_lateness_seconds_bucket{le="60"}': seldom,
      'sms_retry_attempt_lateness_seconds_bucket{le="+Inf"}': seldom,
    }
    expect(await runRules({ ...USUAL, ...late }, ['SmsAttemptsLate'])).toEqual(OK)
  })

  promtool.test('do not report one outcome that the app rejects while there are no others', async () => {
    const deliveries = {
      'sms_retry_outcome_deliveries_total{result="delivered"}': '90x400',
      'sms_retry_outcome_deliveries_total{result="failed"}': '0x332 3x0 4x1 5x2 6x4 7x10 8x20 9x60',
    }
    expect(await runRules({ ...USUAL, ...deliveries }, ['SmsOutcomesFailing'])).toEqual(OK)
  })

  test('have a case each', () => {
    expect(CASES.map(({ alert }) => alert).toSorted()).toEqual(names.toSorted())
  })

  promtool.test.each(CASES)('$alert fires on its cause, with figures', async (alertCase) => {
    const all = Object.entries({ ...USUAL, ...alertCase.series })
    const series = Object.fromEntries(
      all.flatMap(([name, values]) => (values === null ? [] : [[name, values]])),
    )
    expect(await runRules(series, [alertCase.alert], alertCase)).toEqual(OK)
  })

  test('name only metrics that exist, as the table of docs/operations.md has them', async () => {
    const table = [...(await read('docs/operations.md')).matchAll(/^\| `(sms_retry_\w+)` \|/gm)]
    const known = new Set(table.map(([, name]) => name))
    const used = [...text.matchAll(/sms_retry_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''))
    expect(used.filter((name) => !known.has(name) && name !== 'sms_retry_finding')).toEqual([])
  })

  test.each(rules)('$alert says what happened, what to do, and how urgent it is', ({
    labels,
    annotations,
  }) => {
    expect(Object.keys(annotations)).toEqual(['summary', 'description', 'action', 'runbook'])
    expect(['page', 'ticket']).toContain(labels.severity)
  })

  test('each have a section of their own in docs/operations.md, except the findings', async () => {
    const sections = [...(await read('docs/operations.md')).matchAll(/^### (Sms\w+)$/gm)].map(
      ([, name]) => name,
    )
    const others = rules.filter(({ alert }) => !alert.startsWith('SmsFinding'))
    expect(sections.toSorted()).toEqual(others.map(({ alert }) => alert).toSorted())
    for (const { alert, annotations } of others)
      expect(annotations['runbook']).toBe(`docs/operations.md#${alert.toLowerCase()}`)
  })
})
