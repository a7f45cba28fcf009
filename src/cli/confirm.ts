// Asks a person at the terminal to confirm.
import { createInterface } from 'node:readline/promises'

export interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
}

/** @returns false unless the answer is yes. Ctrl-C and the end of the input mean no */
export async function confirm(
  question: string,
  // stdout is for data.
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<boolean> {
  const lines = createInterface({ input, output })
  const closed = new AbortController()
  lines.once('SIGINT', () => lines.close())
  lines.once('close', () => closed.abort())
  try {
    const answer = await lines.question(question, { signal: closed.signal })
    return /^y(es)?$/i.test(answer.trim())
  } catch (error) {
    if (closed.signal.aborted) return false
    throw error
  } finally {
    lines.close()
  }
}
