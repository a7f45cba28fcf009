// The package as its users get it: packed by npm, and unpacked into an empty project outside of the checkout. Instead of
// `npm install`, which asks the registry even for what it has in its cache, the dependencies that the manifest names,
// and no others, are links to the checkout's: a machine without a network has these. What the package would find only
// because the checkout has it, the project lacks.
import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SOURCES = fileURLToPath(new URL('project', import.meta.url))
const TIMEOUT_MS = 60_000

export interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<'.' | './testing', Readonly<Record<string, string>>>>
}

export interface InstalledPackage {
  readonly tarball: string
  readonly packedBytes: number
  /** Paths in the tarball. */
  readonly files: readonly string[]
  readonly manifest: Manifest
  /** The project's folder, with the files of project/. */
  readonly project: string
  /** Adds a package of the checkout to the project, and returns what removes it again. */
  link(name: string): Promise<() => Promise<void>>
  remove(): Promise<void>
}

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export async function installPackage(): Promise<InstalledPackage> {
  const folder = await mkdtemp(join(tmpdir(), 'sms-retry-package-'))
  // Without the script `prepare`, which would build dist/ anew while other tests run it.
  const packing = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], ROOT)
  if (packing.code !== 0) throw new Error(`npm pack failed: ${packing.stderr}`)
  const [packed] = JSON.parse(packing.stdout) as [
    { filename: string; size: number; files: { path: string }[] },
  ]
  const tarball = join(folder, packed.filename)
  const project = join(folder, 'project')
  const home = join(project, 'node_modules', 'sms-retry')
  await mkdir(join(project, 'node_modules', '.bin'), { recursive: true })
  await mkdir(home)
  await run('tar', ['-xzf', tarball, '-C', home, '--strip-components=1'], folder)
  const manifest = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as Manifest
  await linkDependencies(Object.keys(manifest.dependencies), join(project, 'node_modules'))
  // As npm does for "bin".
  await chmod(join(home, 'dist', 'cli.js'), 0o755)
  await symlink(join('..', 'sms-retry', 'dist', 'cli.js'), join(project, 'node_modules', '.bin', 'sms-retry'))
  await cp(SOURCES, project, { recursive: true })
  await writeFile(join(project, 'package.json'), '{ "private": true, "type": "module" }\n')
  return {
    tarball,
    packedBytes: packed.size,
    files: packed.files.map(({ path }) => path),
    manifest,
    project,
    async link(name) {
      await linkDependencies([name], join(project, 'node_modules'))
      return () => rm(join(project, 'node_modules', name))
    },
    remove: () => rm(folder, { recursive: true }),
  }
}

/** Gives the project the types of Express 4. npm then puts those of Express 5 into the package's own folder. */
export async function useExpress4({ project }: InstalledPackage): Promise<void> {
  const nodeModules = join(project, 'node_modules')
  await linkDependencies(['@types/express'], join(nodeModules, 'sms-retry', 'node_modules'))
  const link = join(nodeModules, '@types', 'express')
  await rm(link)
  await symlink(join(ROOT, 'node_modules', 'express4-types'), link, 'junction')
}

async function linkDependencies(names: readonly string[], nodeModules: string): Promise<void> {
  for (const name of names) {
    const link = join(nodeModules, name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(ROOT, 'node_modules', name), link, 'junction')
  }
}

/** Runs a program to its end, in nothing but this environment; ends it itself after a minute. */
export async function run(
  file: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  // The Node of the tests first: what starts with `#!/usr/bin/env node` is to run on it as well.
  const path = `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`
  const options = { cwd, env: { PATH: path, ...env }, timeout: TIMEOUT_MS }
  try {
    return { code: 0, ...(await promisify(execFile)(file, args, options)) }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: unknown; stdout: string; stderr: string }
    // Not started at all, or ended by the time-out.
    if (typeof code !== 'number') throw error
    return { code, stdout, stderr }
  }
}

/** A program that the checkout has among its development dependencies. */
export function runTool(name: string, args: readonly string[], cwd: string = ROOT): Promise<Ended> {
  return run(join(ROOT, 'node_modules', '.bin', name), args, cwd)
}
