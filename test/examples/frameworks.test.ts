// Each framework's example as a real process, with the simulator in Twilio's place: a message is sent, fails, is retried
// and delivered, as its status callbacks report. Needs dist/, which `npm test` builds.
import { afterEach, describe, expect, test } from '@jest/globals'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { createTestDatabase } from '../support/database.ts'
import { startCli } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'

const HOOKS = new URL('hooks.js', import.meta.url).href
/** 30003, handset unreachable, at the first attempt. */
const NUMBER_THAT_FAILS_ONCE = '+15553000301'

const pathOf = (file: string): string => fileURLToPath(new URL(`../../${file}`, import.meta.url))

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** @param isWorker whether the example makes the retries itself; otherwise, `sms-retry worker` does */
async function start(file: string, isWorker: boolean) {
  const database = await createTestDatabase()
  ends.push(() => database.drop())
  const simulator = await startSimulator({ callbackDelayMs: 10 })
  ends.push(() => simulator.close())
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const env = {
    ...simulatedEnvironment(simulator, { databaseUrl: database.url, port, delayScale: 0.001 }),
    PUBLIC_BASE_URL: `${url}/sms`,
    NODE_OPTIONS: `--import=${HOOKS}`,
  }
  const app = startCli([], env, pathOf(file))
  const processes = isWorker ? [app] : [app, startCli(['worker'], env)]
  ends.push(async () => {
    for (const { kill, ended } of processes) {
      kill('SIGKILL')
      await ended
    }
  })
  await waitFor(`${file} to listen`, () =>
    fetch(url).then(
      () => true,
      () => {
        if (app.child.exitCode !== null) throw new Error(`${file} has ended: ${app.stderr()}`)
        return false
      },
    ),
  )
  return { app, database, simulator, url }
}

describe.each([
  ['express', 'examples/express/app.ts', true],
  ['express4', 'examples/express4/app.ts', true],
  ['fastify', 'examples/fastify/app.ts', true],
  ['nest', 'examples/nest/main.ts', true],
  ['node-http', 'examples/node-http/app.ts', true],
  ['hono', 'examples/hono/app.ts', true],
  ['next', 'test/examples/next-server.ts', false],
])('examples/%s', (_name, file, isWorker) => {
  test('delivers a message by a retry, takes its status callbacks, and stops', async () => {
    const { app, database, simulator, url } = await start(file, isWorker)
    const sent = await fetch(`${url}/messages`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ to: NUMBER_THAT_FAILS_ONCE, body: 'Your order has shipped' }),
    })
    // The callback that reports the failure can be recorded before \`send\` has recorded Twilio's answer.
    expect({ status: sent.status, body: await sent.json() }).toMatchObject({
      status: 201,
      body: { status: expect.stringMatching(/^(accepted|retry_scheduled)$/) },
    })
    const row = await waitFor('the delivery', async () => {
      const [found] = await database.query('select final_status, retry_count from sms_usage_logs')
      return found?.['final_status'] === 'delivered' ? found : null
    })
    expect(row).toEqual({ final_status: 'delivered', retry_count: 1 })
    await simulator.idle()
    expect(simulator.messages()).toHaveLength(2)
    const answers = simulator.callbacks().map(({ answer_status }) => answer_status)
    expect(answers).toEqual(answers.map(() => 204))

    app.kill('SIGTERM')
    expect(await app.ended).toBe(0)
    expect(app.stderr()).not.toMatch(/^ +at /m)
  })
})

test('examples/next opens its sender again after the first request has failed', async () => {
  const database = await createTestDatabase()
  ends.push(() => database.drop())
  const simulator = await startSimulator()
  ends.push(() => simulator.close())
  const processes = { databaseUrl: database.url, port: 3000, delayScale: 1 }
  const { DATABASE_URL, ...env } = simulatedEnvironment(simulator, processes)
  const script = `
    import { POST } from './examples/next/app/messages/route.ts'
    const body = JSON.stringify({ to: '+12065550199', body: 'Your order has shipped' })
    const send = () => POST(new Request('http://localhost/messages', { method: 'POST', body }))
    const first = await send().catch(({ name }) => name)
    process.env.DATABASE_URL = '${DATABASE_URL}'
    const { status } = await send()
    console.log(JSON.stringify([first, status]))
    process.exit()`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: pathOf('.'),
    env,
    timeout: 120_000,
  })
  expect(JSON.parse(stdout)).toEqual(['ConfigError', 201])
})

test.each([
  'examples/express/app.ts',
  'examples/express4/app.ts',
  'examples/fastify/app.ts',
  'examples/nest/main.ts',
  'examples/node-http/app.ts',
  'examples/hono/app.ts',
  'examples/next/app/sms/twilio/status/route.ts',
  'examples/next/app/messages/route.ts',
])('%s has fewer than 40 lines', async (file) => {
  const lines = (await readFile(pathOf(file), 'utf8')).trimEnd().split('\n')
  expect(lines.length).toBeLessThan(40)
})
