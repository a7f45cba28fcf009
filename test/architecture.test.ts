// The house of DESIGN section 7: which file may import which, where SQL is written, and who reads the environment.
// The sources are read as text, comments left out; what an import is called tells enough.
import { describe, expect, test } from '@jest/globals'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file belongs to the first entry that it begins with. Beside the house stands what nobody builds upon. */
const FLOORS: readonly (readonly [prefix: string, floor: number])[] = [
  ['delivery/', 0],
  ['errors.ts', 0],
  ['zod.ts', 0],
  ['hidden-characters.ts', 0],
  ['phone-number.ts', 0],
  ['text-file.ts', 0],
  ['database-url.ts', 1],
  ['config.ts', 1],
  ['env-file.ts', 1],
  ['env-schema.ts', 1],
  ['version.ts', 0],
  ['printable.ts', 0],
  ['log.ts', 1],
  ['html.ts', 1],
  ['plain-words.ts', 1],
  ['metrics.ts', 1],
  ['metrics-snapshot.ts', 1],
  ['twilio/', 1],
  ['db/', 1],
  ['boss.ts', 1],
  ['queue.ts', 1],
  ['queue-migration.ts', 1],
  ['record-events.ts', 2],
  ['event-recorder.ts', 2],
  ['refused-rows.ts', 2],
  ['due-watch.ts', 2],
  ['number-form.ts', 1],
  ['message-input.ts', 2],
  ['metadata.ts', 2],
  ['send-message.ts', 2],
  ['record-callbacks.ts', 2],
  ['run-attempts.ts', 2],
  ['reconcile.ts', 2],
  ['inquire.ts', 2],
  ['act-on-message.ts', 2],
  ['prune.ts', 2],
  ['migrate.ts', 2],
  ['instance.ts', 2],
  ['exposition.ts', 2],
  ['runtime.ts', 3],
  ['sender.ts', 3],
  ['http/', 3],
  ['doctor.ts', 4],
  ['doctor/', 4],
  ['web.ts', 4],
  ['worker.ts', 4],
  ['index.ts', 5],
  ['cli.ts', 5],
  ['cli/', 5],
  ['demo/', 5],
  ['embedded-postgres.ts', 5],
]
const SIMULATOR = 'simulator/'

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

function floorOf(path: string): number | undefined {
  return FLOORS.find(([prefix]) => path === prefix || (prefix.endsWith('/') && path.startsWith(prefix)))?.[1]
}

const isSimulator = (path: string): boolean => path.startsWith(SIMULATOR)

test('the imports are found', () => {
  // Otherwise every rule below would hold for want of anything that could break it.
  const all = sources.flatMap(ownImportsOf)
  const first = (path: string): Source | undefined => sources.find((source) => source.path === path)
  expect(all.length).toBeGreaterThan(sources.length)
  expect(all.filter((path) => !sources.some((source) => source.path === path))).toEqual([])
  expect(first('delivery/decide.ts')?.imports).toContain('./status.ts')
  expect(first('cli/program.ts')?.imports).toContain('../demo/demo.ts')
  expect(first('index.ts')?.imports).toContain('./db/pool.ts')
})

test('every file has a floor', () => {
  const homeless = sources.filter(({ path }) => floorOf(path) === undefined && !isSimulator(path))
  expect(homeless.map(({ path }) => path)).toEqual([])
})

test('a file imports from its own floor and lower ones only', () => {
  const climbing = sources.flatMap((source) => {
    const floor = floorOf(source.path) ?? Number.POSITIVE_INFINITY
    return ownImportsOf(source)
      .filter((target) => (floorOf(target) ?? 0) > floor)
      .map((target) => `${source.path} imports ${target}`)
  })
  expect(climbing).toEqual([])
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
  test('the simulator shares nothing with what it is a second opinion on', () => {
    const shared = sources
      .filter(({ path }) => isSimulator(path))
      .flatMap((source) => ownImportsOf(source).map((target) => [source.path, target] as const))
      // How a page is written is no fact about Twilio.
      .filter(([, target]) => !isSimulator(target) && target !== 'html.ts')
    expect(shared).toEqual([])
  })

  test('only its command and the demo start the simulator', () => {
    const users = sources.filter(
      (source) => !isSimulator(source.path) && ownImportsOf(source).some(isSimulator),
    )
    expect(users.map(({ path }) => path).filter((path) => !path.startsWith('demo/'))).toEqual([
      'cli/simulate.ts',
    ])
  })
})

test('delivery/ is pure: it imports itself, errors.ts and zod, reads no clock and throws no dice', () => {
  const ground = sources.filter(({ path }) => path.startsWith('delivery/'))
  const foreign = ground.flatMap((source) =>
    source.imports.filter((specifier) => {
      const target = resolve(source.path, specifier)
      if (target === null) return specifier !== 'zod'
      return !target.startsWith('delivery/') && target !== 'errors.ts' && target !== 'zod.ts'
    }),
  )
  expect(foreign).toEqual([])
  const impure =
    /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.|\bprocess\.|\bset(?:Timeout|Interval)\(|\bfetch\(|\bcrypto\./
  expect(ground.filter(({ code }) => impure.test(code)).map(({ path }) => path)).toEqual([])
})

test('SQL is written in db/ only', () => {
  const statement =
    /\bselect\b[^;]*\bfrom\s+[a-z_$"]|\binsert\s+into\b|\bupdate\s+[\w."$]+(?:\s+as\s+\w+)?\s+set\b|\bdelete\s+from\b/is
  const withSql = sources.filter(({ code }) => statement.test(code)).map(({ path }) => path)
  expect(withSql).toContain('db/messages.ts')
  expect(withSql.filter((path) => !path.startsWith('db/') && path !== 'embedded-postgres.ts')).toEqual([])
})

test('every process that is started gets an environment of its own', () => {
  const starting = sources.filter(({ imports }) =>
    imports.some((name) => /^(node:)?child_process$/.test(name)),
  )
  expect(starting.map(({ path }) => path)).toEqual(['embedded-postgres.ts'])
  const calls = starting.flatMap(({ code }) => [
    ...code.matchAll(/(?<!function )\b(?:spawn|fork|exec|execute|execFile)\(.*?\}\)/gs),
  ])
  expect(calls.length).toBe(3)
  expect(calls.filter(([call]) => !call.includes('env: childEnvironment()'))).toEqual([])
})

test('the commands print in one place, which keeps escape sequences from the terminal', () => {
  const printers = sources.filter(({ code }) =>
    /\bprocess\s*\.\s*std(?:out|err)\s*\.\s*write\b|\bconsole\s*\./.test(code),
  )
  // What these print themselves is their own words and numbers; the program passes on what commander says, cleaned.
  expect(printers.map(({ path }) => path)).toEqual([
    'cli.ts',
    'cli/output.ts',
    'cli/program.ts',
    'demo/progress.ts',
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
    path === 'embedded-postgres.ts' ||
    path.startsWith('cli/') ||
    (path === 'log.ts' && text === "process.env['NO_COLOR']")
  expect(readers.filter((reader) => !allowed(reader))).toEqual([])
})
