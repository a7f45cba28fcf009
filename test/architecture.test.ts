// Which room of src may import which, where SQL is written, and which files read the environment. The sources are read
// as text, without their comments.
import { describe, expect, test } from '@jest/globals'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** From the bottom up: a file imports from its own room and from the rooms above it in this list. */
const ROOMS = [
  'shared',
  'delivery',
  'evidence',
  'config',
  'postgres',
  'twilio',
  'db',
  'metrics',
  'jobs',
  'recording',
  'messages',
  'outcomes',
  'processes',
  'testing',
  'http',
  'doctor',
  'demo',
  'cli',
]
/** Stands beside the rooms: only its command, the demo and the API for tests use it. */
const SIMULATOR = 'simulator/'
const ROOT_FILES = ['cli.ts', 'index.ts', 'testing.ts']

const TEXT = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/gs
const COMMENT = /\/\*.*?\*\/|\/\/[^\n]*/gs
/** A regular expression may hold quotes and slashes; it stands where a value is expected. */
const PATTERN = /(?<=[=(,:?]\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/gs

interface Source {
  /** Below src, with forward slashes. */
  readonly path: string
  /** Without comments. */
  readonly code: string
  readonly imports: readonly string[]
}

const ROOT = fileURLToPath(new URL('../src', import.meta.url))
const files = (await readdir(ROOT, { recursive: true })).filter((file) => file.endsWith('.ts')).toSorted()
const sources: readonly Source[] = await Promise.all(
  files.map(async (file) => {
    const path = file.split(sep).join('/')
    const code = withoutComments(await readFile(join(ROOT, file), 'utf8'))
    return { path, code, imports: importsOf(code) }
  }),
)

function withoutComments(code: string): string {
  const token = new RegExp([TEXT, PATTERN, COMMENT].map(({ source }) => source).join('|'), 'gs')
  return code.replace(token, (found) => (found.startsWith('//') || found.startsWith('/*') ? '' : found))
}

/** Static and dynamic imports, and re-exports. An import of types is one as well. */
function importsOf(code: string): string[] {
  const found = code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)
  return [...found].map(([, specifier = '']) => specifier)
}

/** The file of ours that this import of `path` names; null for packages and for what lies outside of src. */
function resolve(path: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null
  const target = join(dirname(path), specifier).split(sep).join('/')
  return target.startsWith('..') ? null : target
}

const ownImportsOf = ({ path, imports }: Source): string[] =>
  imports.flatMap((specifier) => resolve(path, specifier) ?? [])

const roomOf = (path: string): string | null => (path.includes('/') ? path.slice(0, path.indexOf('/')) : null)

const isSimulator = (path: string): boolean => path.startsWith(SIMULATOR)

test('the imports are found', () => {
  // Otherwise every rule below would hold for want of anything that could break it.
  const all = sources.flatMap(ownImportsOf)
  const first = (path: string): Source | undefined => sources.find((source) => source.path === path)
  expect(all.length).toBeGreaterThan(sources.length)
  expect(all.filter((path) => !sources.some((source) => source.path === path))).toEqual([])
  expect(first('delivery/decide.ts')?.imports).toContain('./status.ts')
  expect(first('cli/definitions.ts')?.imports).toContain('../demo/demo.ts')
  expect(first('index.ts')?.imports).toContain('./postgres/pool.ts')
})

test('every file is in a room; the root holds the three entries', () => {
  const outside = sources.filter(({ path }) => !isSimulator(path) && !ROOMS.includes(roomOf(path) ?? ''))
  expect(outside.map(({ path }) => path)).toEqual(ROOT_FILES)
})

test('a file imports from its own room and lower ones only', () => {
  const upward = sources
    .filter(({ path }) => !ROOT_FILES.includes(path) && !isSimulator(path))
    .flatMap((source) => {
      const height = ROOMS.indexOf(roomOf(source.path) ?? '')
      return (
        ownImportsOf(source)
          .filter((target) => !isSimulator(target))
          // The commands use the library as an app does.
          .filter((target) => target !== 'index.ts' || roomOf(source.path) !== 'cli')
          .filter((target) => ROOT_FILES.includes(target) || ROOMS.indexOf(roomOf(target) ?? '') > height)
          .map((target) => `${source.path} imports ${target}`)
      )
    })
  expect(upward).toEqual([])
})

test('no two files have one name', () => {
  const named = Map.groupBy(sources, ({ path }) => basename(path))
  const shared = [...named.values()].filter((of) => of.length > 1)
  expect(shared.map((of) => of.map(({ path }) => path))).toEqual([])
})

test('no file imports itself by a detour', () => {
  expect(findCycle(new Map(sources.map((source) => [source.path, ownImportsOf(source)])))).toBeNull()
})

test('a cycle would be found', () => {
  const graph = { a: ['b', 'c'], b: ['d'], c: [], d: ['b'] }
  expect(findCycle(new Map(Object.entries(graph)))).toEqual(['b', 'd', 'b'])
})

/** The files on a cycle, the first one at the end once more; null if there is none. */
function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>()
  const visit = (path: string, way: readonly string[]): string[] | null => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path]
    if (done.has(path)) return null
    for (const target of graph.get(path) ?? []) {
      const cycle = visit(target, [...way, path])
      if (cycle !== null) return cycle
    }
    done.add(path)
    return null
  }
  for (const path of graph.keys()) {
    const cycle = visit(path, [])
    if (cycle !== null) return cycle
  }
  return null
}

describe('beside the house', () => {
  test('the simulator imports none of the code that it tests', () => {
    const shared = sources
      .filter(({ path }) => isSimulator(path))
      .flatMap((source) => ownImportsOf(source).map((target) => [source.path, target] as const))
      // HTML escaping says nothing about Twilio.
      .filter(([, target]) => !isSimulator(target) && target !== 'shared/html.ts')
    expect(shared).toEqual([])
  })

  test('only its command, the demo and the API for tests start the simulator', () => {
    const users = sources.filter(
      (source) => !isSimulator(source.path) && ownImportsOf(source).some(isSimulator),
    )
    expect(users.map(({ path }) => path).filter((path) => !path.startsWith('demo/'))).toEqual([
      'cli/simulate-command.ts',
      'testing.ts',
      'testing/running-simulator.ts',
    ])
  })
})

test('delivery/ is pure: it imports itself, errors.ts, figures.ts and zod, reads no clock and throws no dice', () => {
  // The format of figures is in the sentences of findings, and held to the same rules.
  const ground = sources.filter(({ path }) => path.startsWith('delivery/') || path === 'shared/figures.ts')
  const foreign = ground.flatMap((source) =>
    source.imports.filter((specifier) => {
      const target = resolve(source.path, specifier)
      if (target === null) return specifier !== 'zod'
      const isAllowed = ['shared/errors.ts', 'shared/figures.ts', 'shared/zod.ts'].includes(target)
      return !target.startsWith('delivery/') && !isAllowed
    }),
  )
  expect(foreign).toEqual([])
  const impure =
    /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.|\bprocess\.|\bset(?:Timeout|Interval)\(|\bfetch\(|\bcrypto\./
  expect(ground.filter(({ code }) => impure.test(code)).map(({ path }) => path)).toEqual([])
})

test('evidence/ is pure: it imports itself and delivery/, reads no clock and draws from a seed', () => {
  const pure = sources.filter(({ path }) => path.startsWith('evidence/'))
  expect(pure.length).toBeGreaterThan(0)
  const foreign = pure.flatMap((source) =>
    source.imports.filter(
      (specifier) => !/^(evidence|delivery)\//.test(resolve(source.path, specifier) ?? ''),
    ),
  )
  expect(foreign).toEqual([])
  const impure = /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.|\bprocess\./
  expect(pure.filter(({ code }) => impure.test(code)).map(({ path }) => path)).toEqual([])
})

test('statements on tables are written in db/ only', () => {
  const statement =
    /\bselect\b[^;]*\bfrom\s+[a-z_$"]|\binsert\s+into\b|\bupdate\s+[\w."$]+(?:\s+as\s+\w+)?\s+set\b|\bdelete\s+from\b/is
  const withSql = sources.filter(({ code }) => statement.test(code)).map(({ path }) => path)
  expect(withSql).toContain('db/messages.ts')
  // The session's own settings are no table.
  expect(withSql.filter((path) => !path.startsWith('db/'))).toEqual(['postgres/session-settings.ts'])
})

test('every process that is started gets an environment of its own', () => {
  const starting = sources.filter(({ imports }) =>
    imports.some((name) => /^(node:)?child_process$/.test(name)),
  )
  expect(starting.map(({ path }) => path)).toEqual(['demo/embedded-postgres.ts'])
  const calls = starting.flatMap(({ code }) => [
    ...code.matchAll(/(?<!function )\b(?:spawn|fork|exec|execute|execFile)\(.*?\}\)/gs),
  ])
  expect(calls.length).toBe(3)
  expect(calls.filter(([call]) => !call.includes('env: childEnvironment()'))).toEqual([])
})

test('the commands print in one place, which keeps escape sequences from the terminal', () => {
  const printers = sources.filter(({ code }) =>
    /\bprocess\s*\.\s*std(?:out|err)\s*\.\s*write\b|(?<!https:\/\/)\bconsole\s*\./.test(code),
  )
  // What these print themselves is their own words and numbers; the program passes on what commander says, cleaned.
  expect(printers.map(({ path }) => path)).toEqual([
    'cli.ts',
    'cli/program.ts',
    'demo/progress.ts',
    'shared/output.ts',
  ])
})

test('only the program entries read the environment, the log the one name that every program honours, and what starts processes the few that they need', () => {
  const readers = sources.flatMap(({ path, code }) =>
    [...code.matchAll(/\bprocess\s*(?:\.\s*env\b|\[\s*'env'\s*\])(?:\[\s*'\w+'\s*\])?/g)].map(
      ([text]) => [path, text] as const,
    ),
  )
  expect(readers.length).toBeGreaterThan(0)
  const allowed = ([path, text]: readonly [string, string]): boolean =>
    path === 'index.ts' ||
    path === 'cli.ts' ||
    path === 'demo/embedded-postgres.ts' ||
    path.startsWith('cli/') ||
    (path === 'shared/log.ts' && text === "process.env['NO_COLOR']")
  expect(readers.filter((reader) => !allowed(reader))).toEqual([])
})
