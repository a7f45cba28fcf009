// Runs the commands of compose.yaml and the Dockerfile with their environment, in their order, against a real database. The
// processes may not write any file, as in a container with a read-only root. Needs dist/.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { untilReady } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'
import {
  type Compose,
  execForm,
  readCompose,
  readEnvFile,
  readImage,
  ROOT,
  type Variables,
} from './compose-file.ts'

let database: TestDatabase
let compose: Compose
let entryPoint: string[]
let healthCheck: string[]
let imageEnv: Variables
/** Where the services listen in this test, by their address in the network of the containers. */
let addresses: ReadonlyMap<string, string>
const running: Started[] = []

beforeAll(async () => {
  database = await createTestDatabase(null)
  const image = await readImage()
  ;[entryPoint = []] = image('ENTRYPOINT').map(execForm)
  ;[healthCheck = []] = image('HEALTHCHECK').map(execForm)
  imageEnv = Object.fromEntries(image('ENV').map(({ text }) => text.split('=')))
  compose = await readCompose(await readEnvFile('deploy/compose/simulator.env'))
  addresses = new Map([
    ['postgres://sms_retry:for-this-machine-only@database:5432/sms_retry', database.url],
    ['http://web:3000', `http://127.0.0.1:${await freePort()}`],
    ['http://simulator:4010', `http://127.0.0.1:${await freePort()}`],
  ])
})

afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL')
  await Promise.all(running.map(({ ended }) => ended))
  await database.drop()
})

interface Started {
  readonly child: ChildProcess
  readonly output: () => string
  readonly ended: Promise<number | null>
}

/** The environment of a service: the image's, then that of the env file, then its own. */
async function environmentOf(service: string): Promise<Record<string, string>> {
  const { env_file: files = [], environment = {} } = compose.services[service] ?? {}
  const fromFiles = await Promise.all(files.map(readEnvFile))
  const env: Record<string, string> = Object.assign({}, imageEnv, ...fromFiles, environment)
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, addresses.get(`${value}`) ?? `${value}`]),
  )
}

/** Node without the right to write files. */
const READ_ONLY = ['--permission', '--allow-fs-read=*']

function run(command: readonly string[], env: Record<string, string>): Started {
  const [node, ...args] = command
  expect(node).toBe('node')
  const child = spawn(process.execPath, [...READ_ONLY, ...args], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const started = { child, output: () => output, ended }
  running.push(started)
  return started
}

/** Starts a service with its own command. Only its port differs from that of the compose file. */
async function start(service: string, port?: string, flags: string[] = []): Promise<Started> {
  const env = await environmentOf(service)
  const { command = [] } = compose.services[service] ?? {}
  return run([...entryPoint, ...command, ...flags], port === undefined ? env : { ...env, PORT: port })
}

const portOf = (address: string): string => new URL(addresses.get(address) ?? '').port

test('release, web, worker and simulator run as the compose file says, deliver a message, and stop on SIGTERM', async () => {
  const release = await start('release')
  expect([await release.ended, release.output()]).toEqual([0, expect.any(String)])

  const webPort = portOf('http://web:3000')
  const simulator = await start('simulator', undefined, ['--port', portOf('http://simulator:4010')])
  const web = await start('web', webPort)
  const worker = await start('worker')
  await untilReady(`http://127.0.0.1:${webPort}`)
  await waitFor(
    'simulator and worker to start',
    () => simulator.output().includes('Settings for web and worker') && worker.output().includes('"Worker'),
  )

  const health = (): Started => run(healthCheck, { PORT: webPort })
  expect(await health().ended).toBe(0)

  const send = run(
    [...entryPoint, 'send', '--to', '+15553000301', '--user', '7', '--body', 'Hello'],
    await environmentOf('web'),
  )
  expect([await send.ended, send.output()]).toEqual([0, expect.any(String)])
  await waitFor('the message to be delivered by a retry', async () => {
    const rows = await database.query('select final_status, retry_count from sms_usage_logs')
    return rows[0]?.['final_status'] === 'delivered' && rows[0]['retry_count'] === 1
  })
  const metrics = await fetch(`http://127.0.0.1:${webPort}/metrics`, {
    headers: { Authorization: 'Bearer for-this-machine-only' },
  })
  expect(metrics.status).toBe(200)

  for (const { child } of [worker, web, simulator]) child.kill('SIGTERM')
  expect(await Promise.all([worker, web, simulator].map(({ ended }) => ended))).toEqual([0, 0, 0])
  expect(await health().ended).toBe(1)
})
