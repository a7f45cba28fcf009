// Where test databases lie: in memory where the system has a folder for that, because creating and dropping
// databases is most of what a test run writes.
import { access, constants, statfs } from 'node:fs/promises'

const SHARED_MEMORY = '/dev/shm'

/** A run uses about a third of this. */
const MIN_FREE_BYTES = 4 * 1024 ** 3

/** Makes it the folder for temporary files of this process and its children, unless TMPDIR names another. */
export async function keepTemporaryFilesInMemory(): Promise<void> {
  if (process.env['TMPDIR'] !== undefined) return
  try {
    await access(SHARED_MEMORY, constants.W_OK)
    const { bavail, bsize } = await statfs(SHARED_MEMORY)
    if (bavail * bsize >= MIN_FREE_BYTES) process.env['TMPDIR'] = SHARED_MEMORY
  } catch {
    // There is no such folder on macOS and Windows.
  }
}
