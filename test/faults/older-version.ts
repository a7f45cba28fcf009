// The build of an older version, for runs in which both work on one database, as they do during a deploy.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const run = promisify(execFile)

export interface OlderVersion {
  /** Its command, to be run by Node. */
  readonly cli: string
  remove(): Promise<void>
}

/**
 * Builds what git has under `ref`, in a temporary folder, with the packages of this checkout.
 *
 * @throws if there is no such version, or if it cannot be built with these packages; nothing is left behind then
 */
export async function buildOlderVersion(ref: string): Promise<OlderVersion> {
  const folder = await mkdtemp(join(tmpdir(), 'sms-retry-older-'))
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    const archive = join(folder, 'version.tar')
    await run('git', ['archive', '--format=tar', `--output=${archive}`, '--end-of-options', ref], {
      cwd: ROOT,
    })
    await run('tar', ['-xf', archive, '-C', folder])
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'dir')
    await run(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json'], { cwd: folder })
  } catch (error) {
    await remove()
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string }
    throw new Error(`The version ${ref} cannot be built: ${stderr || stdout || message}`, { cause: error })
  }
  return { cli: join(folder, 'dist', 'cli.js'), remove }
}
