// npm run fuzz -- --tries 100000 [--seed 1]
// A PostgreSQL of its own and a web process; prints what the requests were answered with, or the shortest list of them
// that does what must not happen, with its seed.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createTestDatabase } from '../support/database.ts'
import { startTestServer } from '../support/test-server.ts'
import { fuzzEndpoint } from './fuzz-endpoint.ts'

const { values } = parseArgs({
  options: { tries: { type: 'string', default: '10000' }, seed: { type: 'string' } },
})
const tries = whole('tries', values.tries)
const seed = whole('seed', values.seed ?? `${Math.floor(Math.random() * 1_000_000)}`)

process.exitCode = 1
const server = await startTestServer()
try {
  const database = await createTestDatabase()
  tell(`seed ${seed}: ${tries} requests`)
  const startedMs = performance.now()
  const { answers, residentMb } = await fuzzEndpoint(database, { tries, seed }, residentMbOf)
  tell(`  ${Math.round((performance.now() - startedMs) / 1000)} s; answers by status (0: none):`)
  tell(`  ${JSON.stringify(Object.fromEntries([...answers].toSorted(([a], [b]) => a - b)))}`)
  tell(`  memory of the web process before and after: ${residentMb.map((mb) => mb ?? '?').join(' and ')} MB`)
  await database.drop()
  process.exitCode = 0
} catch (error) {
  tell(`  FAILED: ${error instanceof Error ? error.message : String(error)}`)
  // What the requests have done; the message above says which they were.
  if (error instanceof Error && error.cause instanceof Error) tell(`  ${error.cause.message}`)
} finally {
  await server.stop()
}

/** Null where there is no /proc. */
function residentMbOf(pid: number): number | null {
  try {
    const [, kb] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return kb === undefined ? null : Math.round(Number(kb) / 1024)
  } catch {
    // Another system, or the process is gone, which is told elsewhere.
    return null
  }
}

function whole(name: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) {
    process.stderr.write(`--${name} must be a whole number from 1.\n`)
    process.exit(2)
  }
  return Number(text)
}

function tell(text: string): void {
  process.stdout.write(`${text}\n`)
}
