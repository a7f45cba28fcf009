// What a figure has to be read with: the machine and the versions. Never its name.
import { readFile } from 'node:fs/promises'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import pg from 'pg'
import type { EmbeddedPostgres } from '../src/demo/embedded-postgres.ts'
import { wrkVersion } from './full-load.ts'

export async function describeMachine(server: EmbeddedPostgres): Promise<string> {
  const wrk = await wrkVersion()
  const facts = {
    Processor: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores`,
    Memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    System: `${await distribution()}${type()} ${release()}`,
    'Node.js': process.version,
    PostgreSQL: `${await serverVersion(server)}, on the same machine, with fsync and synchronous_commit`,
    'Load of `callbacks`': wrk === null ? 'autocannon, as wrk is not installed' : `wrk ${wrk}`,
  }
  return Object.entries(facts)
    .map(([name, fact]) => `- ${name}: ${fact}`)
    .join('\n')
}

async function distribution(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const name = /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(text)?.[1]
  return name === undefined ? '' : `${name}, `
}

async function serverVersion(server: EmbeddedPostgres): Promise<string> {
  const client = new pg.Client({ connectionString: server.url('postgres') })
  await client.connect()
  const { rows } = await client.query<{ server_version: string }>('show server_version')
  await client.end()
  return rows[0]?.server_version ?? 'unknown'
}
