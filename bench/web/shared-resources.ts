// What the cases of a section share (load generator, databases, endpoints), closed in the reverse order of its opening:
// with the first case, which main.ts closes last, or at once if the section cannot be opened.
import type { BenchCase } from '../section.ts'

interface Closable {
  close(): Promise<void>
}

/** Waits for something that is opened, and sees to it that it will be closed. */
export type Own = <Resource extends Closable>(opening: Promise<Resource>) => Promise<Resource>

export async function openCases(
  open: (own: Own) => Promise<Omit<BenchCase, 'close'>[]>,
): Promise<BenchCase[]> {
  const owned = new AsyncDisposableStack()
  const own: Own = async (opening) => {
    const resource = await opening
    owned.defer(() => resource.close())
    return resource
  }
  try {
    const cases = await open(own)
    if (cases.length === 0) await owned.disposeAsync()
    return cases.map((each, i) => ({
      ...each,
      close: i === 0 ? () => owned.disposeAsync() : async () => undefined,
    }))
  } catch (error) {
    await owned.disposeAsync()
    throw error
  }
}
