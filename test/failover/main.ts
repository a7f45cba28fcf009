// npm run failover -- [--messages 1000] [--failovers 5] [--replication synchronous|asynchronous] [--runs 1]
// PostgreSQL servers that replicate, the simulator, and an application; the primary dies again and again.
import { parseArgs } from 'node:util'
import type { Replication } from './cluster.ts'
import { runFailovers } from './run-failovers.ts'

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000' },
    failovers: { type: 'string', default: '5' },
    replication: { type: 'string' },
    runs: { type: 'string', default: '1' },
  },
})

/** The retry after 30003 comes after 3 s: later than some of the failovers. */
const DELAY_SCALE = 0.01
const BOTH: readonly Replication[] = ['synchronous', 'asynchronous']

const size = {
  messages: whole('messages', values.messages),
  failovers: whole('failovers', values.failovers),
}
const modes = values.replication === undefined ? BOTH : BOTH.filter((mode) => mode === values.replication)
if (modes.length === 0) {
  process.stderr.write('--replication must be synchronous or asynchronous.\n')
  process.exit(2)
}

let failed = 0
for (let run = 0; run < whole('runs', values.runs); run += 1) {
  for (const replication of modes) {
    tell(`${replication}: ${size.messages} messages, ${size.failovers} failovers`)
    const startedMs = performance.now()
    const { figures, faults } = await runFailovers({ replication, ...size, delayScale: DELAY_SCALE })
    tell(`  ${JSON.stringify(figures)}, in ${Math.round((performance.now() - startedMs) / 1000)} s`)
    if (faults.length === 0) continue
    failed += 1
    tell(`  FAILED:\n${faults.map((fault) => `    ${fault}`).join('\n')}`)
  }
}
process.exitCode = failed === 0 ? 0 : 1

function whole(name: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  process.stderr.write(`--${name} must be a whole number of at least 1.\n`)
  process.exit(2)
}

function tell(text: string): void {
  process.stdout.write(`${text}\n`)
}
