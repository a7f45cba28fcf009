// The embedded PostgreSQL leaves no process and no folder behind, however its owner ends. In each test the owner is a real
// process whose temporary files are in a folder of the test. Needs dist/.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { createTemporaryFolder, type TemporaryFolder } from '../support/left-behind.ts'
import { dataFolder } from '../support/test-server.ts'
import { waitFor } from '../support/wait-for.ts'

const MODULE = new URL('../../dist/demo/embedded-postgres.js', import.meta.url).href

/** Starts a server, with a copy of DATA if that is set, prints its URL, and stops it on any input. */
const OWNER = `
  const { startEmbeddedPostgres } = await import(${JSON.stringify(MODULE)})
  const server = await startEmbeddedPostgres(undefined, JSON.parse(process.env.DATA ?? 'null'))
  await server.createDatabase('mine')
  console.log(server.url('mine'))
  process.stdin.once('data', () => server.stop().then(() => process.exit(0)))
`

const owners: ChildProcess[] = []
const clients: pg.Client[] = []

/** @param folder its TMPDIR, unless `env` names another */
async function startOwner(
  folder: TemporaryFolder,
  env: Record<string, string>,
): Promise<{ owner: ChildProcess; url: string }> {
  const owner = spawn(process.execPath, ['--input-type=module', '--eval', OWNER], {
    env: { ...process.env, TMPDIR: folder.path, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  owners.push(owner)
  let output = ''
  owner.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  const url = await waitFor('the server', () => /^(postgres:.*)\n/.exec(output)?.[1])
  return { owner, url }
}

async function endOwners(folder: TemporaryFolder): Promise<void> {
  for (const client of clients.splice(0)) await client.end()
  for (const owner of owners.splice(0)) owner.kill('SIGKILL')
  await folder.untilEmpty().finally(() => folder.remove())
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  clients.push(client)
  return client
}

/** The ids of all processes whose environment contains the text. */
async function processesThatKnow(text: string): Promise<number[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    ids.map(async (id) => {
      const environment = await readFile(`/proc/${id}/environ`, 'latin1').catch(() => '')
      return environment.includes(text) ? Number(id) : null
    }),
  )
  return found.filter((id) => id !== null)
}

describe('a running server', () => {
  const secret = `secret-${randomBytes(8).toString('hex')}`
  let folder: TemporaryFolder
  let owner: ChildProcess
  let url: string
  beforeAll(async () => {
    folder = await createTemporaryFolder()
    const started = await startOwner(folder, { PGSSLMODE: 'require', TWILIO_AUTH_TOKEN: secret })
    owner = started.owner
    url = started.url
  })
  afterAll(() => endOwners(folder))

  test('listens on 127.0.0.1 only, and requires its password', async () => {
    const client = await connect(url)
    const { rows } = await client.query('show listen_addresses')
    expect(rows).toEqual([{ listen_addresses: '127.0.0.1' }])
    expect(new URL(url).hostname).toBe('127.0.0.1')
    const guessed = new URL(url)
    guessed.password = 'postgres'
    await expect(connect(guessed.toString())).rejects.toMatchObject({ code: '28P01' })
  })

  test('has started although PGSSLMODE requires TLS', () => connect(url))

  test('has a folder and processes', async () => {
    const { files, processes } = await folder.leftBehind()
    expect(files).toEqual([expect.stringMatching(/^sms-retry-postgres-/)])
    expect(processes.length).toBeGreaterThan(0)
  })

  ;(process.platform === 'win32' ? test.skip : test)(
    "does not pass its owner's environment to programs that it runs",
    async () => {
      const client = await connect(url)
      await client.query('create temporary table environment (line text)')
      await client.query(`copy environment from program 'env'`)
      const { rows } = await client.query<{ line: string }>('select line from environment')
      expect(rows.map(({ line }) => line)).toContainEqual(expect.stringMatching(/^PATH=/))
      expect(JSON.stringify(rows)).not.toContain(secret)
    },
  )

  ;(process.platform === 'linux' ? test : test.skip)(
    "does not have its owner's environment, nor does any other process that was started (needs /proc)",
    async () => {
      expect(await processesThatKnow(secret)).toEqual([owner.pid])
    },
  )
})

describe('no process and no folder is left behind', () => {
  let folder: TemporaryFolder
  beforeEach(async () => {
    folder = await createTemporaryFolder()
  })
  afterEach(() => endOwners(folder))

  const start = (env: Record<string, string> = {}): ReturnType<typeof startOwner> =>
    startOwner(folder, { DATA: JSON.stringify(dataFolder()), ...env })

  test('after stop() of a server in a folder whose path is too long for a socket', async () => {
    const long = join(folder.path, 'x'.repeat(100))
    await mkdir(long)
    const { owner, url } = await start({ TMPDIR: long })
    await connect(url)
    owner.stdin?.write('stop\n')
    await once(owner, 'exit')
    await rmdir(long)
  })

  test('after stop(), also with an open connection', async () => {
    const { owner, url } = await start()
    await connect(url)
    owner.stdin?.write('stop\n')
    expect(await once(owner, 'exit')).toEqual([0, null])
    // stop() has waited for the server and removed the folder. The watchdog gets a signal, and ends a moment later.
    expect((await folder.leftBehind()).files).toEqual([])
    await folder.untilEmpty()
    await expect(connect(url)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test.each([
    'SIGKILL',
    'SIGTERM',
    'SIGINT',
    'SIGHUP',
  ] as const)('after %s to its owner, also with an open connection', async (signal) => {
    const { owner, url } = await start()
    await connect(url)
    owner.kill(signal)
    expect(await once(owner, 'exit')).toEqual([null, signal])
    await folder.untilEmpty()
    await expect(connect(url)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('and two servers of two owners are independent', async () => {
    const [one, two] = await Promise.all([start(), start()])
    one.owner.kill('SIGKILL')
    await waitFor('the first to be gone', () =>
      connect(one.url).then(
        async (client) => {
          await client.end()
          return false
        },
        () => true,
      ),
    )
    const client = await connect(two.url)
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
  })
})
