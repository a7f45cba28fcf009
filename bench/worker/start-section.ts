// How long web process and worker take until they are ready, and what importing the package costs beside importing the
// three packages that it cannot do without. Each in a process of its own.
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import type { Figures, Section } from '../section.ts'
import { type CliOptions, startCli } from './children.ts'
import { medianOf, sharing } from './figures.ts'
import { openRetryTable } from './retry-table.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** No request is made at start. */
const NO_TWILIO = 'http://127.0.0.1:9'

const START_MS = 1_500
const IMPORT_RATIO = 1.1

export const start: Section = {
  name: 'start',
  rounds: (isQuick) => (isQuick ? 3 : 15),
  async open(context) {
    await using stack = new AsyncDisposableStack()
    const table = stack.use(await openRetryTable(context, 'start'))
    const options = { databaseUrl: table.url, publicBaseUrl: 'http://127.0.0.1:9', twilioUrl: NO_TWILIO }
    return sharing(stack, [
      { name: 'web', round: () => startWeb(options) },
      { name: 'worker', round: () => startWorker(options) },
      { name: 'import sms-retry', round: () => importIn('./dist/index.js') },
      { name: 'import express, pg, pg-boss', round: () => importIn('express', 'pg', 'pg-boss') },
    ])
  },
  judge(medians) {
    const ratio =
      medianOf(medians, 'import sms-retry', 'import ms') /
      medianOf(medians, 'import express, pg, pg-boss', 'import ms')
    return [
      { what: 'ready ms, web', value: medianOf(medians, 'web', 'ready ms'), most: START_MS },
      { what: 'ready ms, worker', value: medianOf(medians, 'worker', 'ready ms'), most: START_MS },
      { what: 'import ms, sms-retry to its parts', value: ratio, most: IMPORT_RATIO },
    ]
  },
}

const POLL_MS = 10

async function startWeb(options: CliOptions): Promise<Figures> {
  const port = await freePort()
  const startedMs = performance.now()
  const web = startCli('web', { ...options, env: { HOST: '127.0.0.1', PORT: `${port}` } })
  try {
    while (!(await isReady(port))) await sleep(POLL_MS)
    return { 'ready ms': performance.now() - startedMs }
  } finally {
    await web.stop()
  }
}

function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )
}

async function startWorker(options: CliOptions): Promise<Figures> {
  const startedMs = performance.now()
  const worker = startCli('worker', { ...options, env: { LOG_LEVEL: 'info' } })
  try {
    await worker.untilSaid('Worker waits for due attempts')
    return { 'ready ms': performance.now() - startedMs }
  } finally {
    await worker.stop()
  }
}

/** Twilio's package is CommonJS, so Node's own cache tells whether its client was loaded (its signature may be). */
const IMPORT = `
  import { createRequire } from 'node:module'
  const startedNs = process.hrtime.bigint()
  for (const name of process.argv.slice(1)) await import(name)
  const ms = Number(process.hrtime.bigint() - startedNs) / 1e6
  const loaded = Object.keys(createRequire(import.meta.url).cache)
  const hasTwilio = loaded.some((path) => /node_modules.twilio.lib.rest.Twilio.js/.test(path))
  console.log(JSON.stringify({ ms, rssMb: process.memoryUsage.rss() / 2 ** 20, hasTwilio }))`

const run = promisify(execFile)

async function importIn(...names: string[]): Promise<Figures> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', IMPORT, ...names], {
    cwd: ROOT,
  })
  const { ms, rssMb, hasTwilio } = JSON.parse(stdout) as { ms: number; rssMb: number; hasTwilio: boolean }
  if (hasTwilio) throw new Error(`Importing ${names.join(', ')} loads Twilio's client`)
  return { 'import ms': ms, 'rss MB': rssMb }
}
