// A folder for the temporary files of processes under test, and what they leave behind in it. Everything that an
// embedded PostgreSQL is made of is below TMPDIR, and its processes name that folder in their arguments.
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { waitFor } from './wait-for.ts'

export interface TemporaryFolder {
  /** For the process's environment, as TMPDIR. */
  readonly path: string
  /** Names of files and folders, and command lines of processes. */
  leftBehind(): Promise<{ files: string[]; processes: string[] }>
  /** Waits until nothing is left behind. */
  untilEmpty(): Promise<void>
  remove(): Promise<void>
}

export async function createTemporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'sms-retry-test-'))
  // As root, PostgreSQL runs as another user, who must be able to enter.
  await chmod(path, 0o755)
  const files = (): Promise<string[]> => readdir(path)
  const processes = async (): Promise<string[]> =>
    (await commandLines()).filter((line) => line.includes(path))
  return {
    path,
    leftBehind: async () => ({ files: await files(), processes: await processes() }),
    async untilEmpty() {
      await waitFor('the files to be gone', async () => (await files()).length === 0)
      // Reads the command line of every process on the machine, so it comes last.
      await waitFor('the processes to be gone', async () => (await processes()).length === 0)
      // A process may have written once more before it ended.
      await waitFor('the files to be gone again', async () => (await files()).length === 0)
    },
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
