// Asks a person at the terminal to confirm.
import { createInterface } from 'node:readline/promises'

export interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
}

/** @returns false unless the answer is yes. Ctrl-C, the end of the input and an aborted signal mean no */
export async function confirm(
  question: string,
  signal: AbortSignal,
  // stdout is for data.
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<boolean> {
  const lines = createInterface({ input, output })
  const closed = new AbortController()
  lines.once('SIGINT', () => lines.close())
  lines.once('close', () => closed.abort())
  const either = AbortSignal.any([signal, closed.signal])
  try {
    const answer = await lines.question(question, { signal: either })
    return /^y(es)?$/i.test(answer.trim())
  } catch (error) {
    if (either.aborted) return false
    throw error
  } finally {
    lines.close()
  }
}
