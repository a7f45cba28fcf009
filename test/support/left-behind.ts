// A folder for the temporary files of processes under test, and what they leave behind in it. Everything that an
// embedded PostgreSQL is made of is below TMPDIR, and its processes name that folder in their arguments.
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface TemporaryFolder {
  /** For the process's environment, as TMPDIR. */
  readonly path: string
  /** Names of files and folders, and command lines of processes. */
  leftBehind(): Promise<{ files: string[]; processes: string[] }>
  remove(): Promise<void>
}

export async function createTemporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'sms-retry-test-'))
  // As root, PostgreSQL runs as another user, who must be able to enter.
  await chmod(path, 0o755)
  return {
    path,
    leftBehind: async () => ({
      files: await readdir(path),
      processes: (await commandLines()).filter((line) => line.includes(path)),
    }),
    remove: () => rm(path, { recursive: true, force: true }),
  }
}

/** From /proc where there is one: slim Linux images have no ps. */
async function commandLines(): Promise<string[]> {
  const ids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  if (ids.length === 0) return (await promisify(execFile)('ps', ['-Awwo', 'args='])).stdout.split('\n')
  // A process may have ended since.
  const lines = ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => ''))
  return (await Promise.all(lines)).map((line) => line.replaceAll('\0', ' ').trim())
}
