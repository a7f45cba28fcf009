// node bench/main.ts [--quick] [--only <section>[,<section>]] [--rounds <n>] [--strict]
// A PostgreSQL of its own that keeps what it has committed; section after section; a table of each, also as a file.
import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '../src/demo/embedded-postgres.ts'
import { describeMachine } from './machine.ts'
import { killAll } from './processes.ts'
import { sectionReport } from './report.ts'
import { isMet, runSection, type SectionResult } from './run-section.ts'
import type { BenchContext } from './section.ts'
import { sections } from './sections.ts'

/**
 * Durable as in production, with room for its work. What runs now and then in the background (checkpoints, autovacuum)
 * would hit one round and not the next: it is done between the rounds instead.
 */
const SERVER_SETTINGS = [
  'listen_addresses=127.0.0.1',
  'max_connections=300',
  'shared_buffers=2GB',
  'maintenance_work_mem=512MB',
  'max_wal_size=32GB',
  'min_wal_size=4GB',
  'checkpoint_timeout=1d',
  'autovacuum=off',
]

const RESULTS = fileURLToPath(new URL('results', import.meta.url))

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    strict: { type: 'boolean', default: false },
  },
})
const only = values.only?.split(',').map(slug) ?? null
const chosen = sections.filter(({ name }) => only === null || only.includes(slug(name)))
const unknown = only?.find((name) => sections.every((section) => slug(section.name) !== name))
if (unknown !== undefined) {
  refuse(`There is no section ${unknown}: ${sections.map(({ name }) => slug(name)).join(', ')}`)
}
if (values.rounds !== undefined && !/^[1-9]$/.test(values.rounds)) {
  refuse('--rounds must be a whole number from 1 to 9')
}

const server = await startEmbeddedPostgres(SERVER_SETTINGS)
let isInterrupted = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stopEarly())
try {
  const results = await runAll()
  const missed = results.flatMap(({ bars }) => bars).filter((bar) => !isMet(bar))
  if (values.strict && missed.length > 0) process.exitCode = 1
} catch (error) {
  // What fails because everything has been stopped is not worth a word.
  if (!isInterrupted) throw error
} finally {
  await server.stop()
}

async function runAll(): Promise<SectionResult[]> {
  const isQuick = values.quick
  const title = `# Benchmark${isQuick ? ', quick' : ''}\n\n${await describeMachine(server)}\n`
  process.stdout.write(`${title}\n`)
  const name = [new Date().toISOString().slice(0, 10), isQuick ? 'quick' : [], only ?? []].flat().join('-')
  await mkdir(RESULTS, { recursive: true })
  const results: SectionResult[] = []
  const reports: string[] = []
  for (const section of chosen) {
    const startedMs = performance.now()
    const say: BenchContext['say'] = (text) => void process.stderr.write(`${section.name}: ${text}\n`)
    const result = await runSection(
      section,
      { server, isQuick, say },
      values.rounds === undefined ? null : Number(values.rounds),
    )
    say(`took ${Math.round((performance.now() - startedMs) / 1000)} s`)
    const report = sectionReport(result)
    process.stdout.write(`${report}\n`)
    results.push(result)
    reports.push(report)
    // What has been measured is not lost if a later section fails.
    await writeFile(`${RESULTS}/${name}.md`, [title, ...reports].join('\n'))
  }
  return results
}

async function stopEarly(): Promise<void> {
  isInterrupted = true
  process.exitCode = 130
  killAll()
  await server.stop()
  process.exit(130)
}

function slug(name: string): string {
  return name.trim().toLowerCase().replaceAll(/\W+/g, '-')
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n`)
  process.exit(2)
}
