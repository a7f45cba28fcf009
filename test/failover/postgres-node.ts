// One PostgreSQL server of a cluster: a primary, or a standby that streams from one. It can die as a machine does, and
// then be looked into.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import {
  type Binaries,
  chownTo,
  copyFolder,
  type DataFolder,
  freePort,
  type Owner,
  ownerOf,
  startWatchdog,
  untilReady,
} from '../../src/demo/embedded-postgres.ts'
import { waitFor } from '../support/wait-for.ts'
import { takeBaseBackup, writeOwned } from './base-backup.ts'

/** What the servers of a cluster share. */
export interface Installation {
  readonly binaries: Binaries
  readonly password: string
}

/** A crash of the machine is a SIGKILL here, which takes back nothing that was written: `fsync` makes no difference. */
const SETTINGS = [
  'fsync=off',
  'max_connections=100',
  'listen_addresses=127.0.0.1',
  'min_wal_size=32MB',
  'wal_keep_size=512MB',
  'wal_retrieve_retry_interval=100ms',
]

export class PostgresNode {
  readonly #installation: Installation
  readonly #directory: string
  readonly #owner: Owner
  readonly #watchdog: ChildProcess | undefined
  #server: ChildProcess | undefined
  #port = 0

  private constructor(installation: Installation, directory: string, owner: Owner) {
    this.#installation = installation
    this.#directory = directory
    this.#owner = owner
    this.#watchdog = startWatchdog(directory)
  }

  static async #create(installation: Installation): Promise<PostgresNode> {
    const directory = await mkdtemp(join(tmpdir(), 'sms-retry-node-'))
    return new PostgresNode(installation, directory, await ownerOf(directory))
  }

  /** @param data which it starts with a copy of */
  static async primary(binaries: Binaries, data: DataFolder): Promise<PostgresNode> {
    const node = await PostgresNode.#create({ binaries, password: data.password })
    await copyFolder(data.path, node.#data, node.#owner)
    await node.start()
    return node
  }

  /** @param linkPort where it reaches its primary */
  static async standbyOf(
    primary: PostgresNode,
    linkPort: number,
    settings: readonly string[],
  ): Promise<PostgresNode> {
    const node = await PostgresNode.#create(primary.#installation)
    await takeBaseBackup(primary.url('postgres'), primary.#data, node.#data, node.#owner)
    const conninfo = `host=127.0.0.1 port=${linkPort} user=postgres password=${primary.#installation.password}`
    const lines = [`primary_conninfo = '${conninfo}'`, ...settings]
    await writeOwned(join(node.#data, 'postgresql.auto.conf'), `${lines.join('\n')}\n`, node.#owner)
    await writeOwned(join(node.#data, 'standby.signal'), '', node.#owner)
    await chownTo(node.#owner, node.#data)
    await node.start()
    return node
  }

  get #data(): string {
    return join(this.#directory, 'data')
  }

  get port(): number {
    return this.#port
  }

  url(database: string, port = this.#port): string {
    return `postgres://postgres:${this.#installation.password}@127.0.0.1:${port}/${database}`
  }

  async start(): Promise<void> {
    this.#port = await freePort()
    const flags = SETTINGS.flatMap((setting) => ['-c', setting])
    this.#server = spawn(
      this.#installation.binaries.postgres,
      ['-D', this.#data, '-p', `${this.#port}`, '-k', '', ...flags],
      { ...this.#owner, detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    this.#watchdog?.stdin?.write(`${this.#server.pid}\n`)
    await untilReady(this.#server, this.url('postgres'))
  }

  async query<Row extends object>(database: string, text: string, values?: unknown[]): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.url(database) })
    await client.connect()
    try {
      return (await client.query<Row>(text, values)).rows
    } finally {
      await client.end()
    }
  }

  /** As when its machine dies: no process of it says or writes anything from now on. */
  async kill(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    const processes = await this.query<{ pid: number }>(
      'postgres',
      'select pid from pg_stat_activity where pid <> pg_backend_pid()',
    )
    const ended = new Promise((resolve) => server.once('exit', resolve))
    // The postmaster first, so that no process is added. A child that is not in the list ends with its postmaster.
    for (const pid of [server.pid, ...processes.map(({ pid }) => pid)]) killProcess(pid)
    await ended
    this.#server = undefined
  }

  /** Starts a server that was killed once more, to see what it had; nobody but the test knows its port. */
  async reopen(): Promise<void> {
    await rm(join(this.#data, 'postmaster.pid'), { force: true })
    // The last of the killed processes may take a moment to let go of the shared memory.
    await waitFor('the killed server to start', () =>
      this.start().then(
        () => true,
        () => false,
      ),
    )
  }

  async remove(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server !== undefined && server.exitCode === null && server.signalCode === null) {
      const ended = new Promise((resolve) => server.once('exit', resolve))
      server.kill('SIGQUIT')
      await ended
    }
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 })
    this.#watchdog?.kill('SIGKILL')
  }
}

function killProcess(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // It has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
