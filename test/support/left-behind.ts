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
  const processes = async (): Promise<Process[]> =>
    (await allProcesses()).filter(({ line }) => line.includes(path))
  return {
    path,
    leftBehind: async () => ({
      files: await files(),
      processes: (await processes()).map(({ line }) => line),
    }),
    async untilEmpty() {
      await waitFor('the files to be gone', async () => (await files()).length === 0)
      // Looking through every process on the machine takes long: in between, only those that were found are polled.
      for (let found = await processes(); found.length > 0; found = await processes()) {
        await waitFor('the processes to be gone', () => !found.some(isThere))
      }
      // A process may have written once more before it ended.
      await waitFor('the files to be gone again', async () => (await files()).length === 0)
    },
    remove: () => rm(path, { recursive: true, force: true }),
  }
}

interface Process {
  readonly id: number
  /** Its command line. */
  readonly line: string
}

function isThere({ id }: Process): boolean {
  try {
    return process.kill(id, 0)
  } catch (error) {
    // EPERM: it is another user's.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** From /proc where there is one: slim Linux images have no ps. */
async function allProcesses(): Promise<Process[]> {
  const ids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number)
  if (ids.length === 0) {
    const { stdout } = await promisify(execFile)('ps', ['-Awwo', 'pid=,args='])
    return [...stdout.matchAll(/^ *(\d+) (.*)$/gm)].map(([, id, line = '']) => ({ id: Number(id), line }))
  }
  // A process may have ended since.
  const lineOf = (id: number): Promise<string> => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')
  return Promise.all(ids.map(async (id) => ({ id, line: (await lineOf(id)).replaceAll('\0', ' ').trim() })))
}
