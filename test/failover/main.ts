// npm run failover -- [--messages 1000] [--failovers 5] [--replication synchronous|asynchronous]
// PostgreSQL servers that replicate, the simulator, and an application; the primary dies again and again. Without a
// replication both are run, each in a process of its own: after 2,000 messages in one, Node takes minutes to exit.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startTestServer } from '../support/test-server.ts'
import type { Replication } from './cluster.ts'
import { runFailovers } from './run-failovers.ts'

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000' },
    failovers: { type: 'string', default: '5' },
    replication: { type: 'string' },
  },
})

/** The retry after 30003 comes after 3 s: later than some of the failovers. */
const DELAY_SCALE = 0.01
const BOTH: readonly Replication[] = ['synchronous', 'asynchronous']

const size = {
  messages: whole('messages', values.messages),
  failovers: whole('failovers', values.failovers),
}
const replication = BOTH.find((each) => each === values.replication)
if (replication !== undefined) {
  process.exitCode = (await run(replication)) ? 0 : 1
} else if (values.replication === undefined) {
  const codes = []
  for (const each of BOTH) codes.push(await runInProcess(each))
  process.exitCode = codes.every((code) => code === 0) ? 0 : 1
} else {
  refuse('--replication must be synchronous or asynchronous.')
}

async function run(replication: Replication): Promise<boolean> {
  tell(`${replication}: ${size.messages} messages, ${size.failovers} failovers`)
  const startedMs = performance.now()
  const server = await startTestServer()
  const { figures, faults } = await runFailovers({ replication, ...size, delayScale: DELAY_SCALE }).finally(
    () => server.stop(),
  )
  tell(`  ${JSON.stringify(figures)}, in ${Math.round((performance.now() - startedMs) / 1000)} s`)
  if (faults.length > 0) tell(`  FAILED:\n${faults.map((fault) => `    ${fault}`).join('\n')}`)
  return faults.length === 0
}

function runInProcess(replication: Replication): Promise<number | null> {
  const flags = ['--messages', `${size.messages}`, '--failovers', `${size.failovers}`]
  const args = [fileURLToPath(import.meta.url), ...flags, '--replication', replication]
  const child = spawn(process.execPath, args, { stdio: 'inherit' })
  return new Promise((resolve) => child.once('close', resolve))
}

function whole(name: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  return refuse(`--${name} must be a whole number of at least 1.`)
}

function refuse(text: string): never {
  process.stderr.write(`${text}\n`)
  process.exit(2)
}

function tell(text: string): void {
  process.stdout.write(`${text}\n`)
}
