// Reads a text file from any editor: in UTF-8 or UTF-16, with or without a byte order mark.
import { readFileSync } from 'node:fs'

/** @throws Error if the file cannot be read, or is not text */
export function readTextFile(path: string): string {
  const bytes = readFileSync(path)
  try {
    // TextDecoder drops a byte order mark.
    return new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes)
  } catch (error) {
    throw new Error('it is neither UTF-8 nor UTF-16; save it as UTF-8', { cause: error })
  }
}

/** In UTF-16, the first ASCII character has a NUL byte beside it. PowerShell's `>` writes such files. */
function encodingOf([first, second]: Buffer): string {
  if ((first === 0xff && second === 0xfe) || second === 0) return 'utf-16le'
  if ((first === 0xfe && second === 0xff) || first === 0) return 'utf-16be'
  return 'utf-8'
}

/** Describes the first line with a finding, such as `line 3 has U+00A0 NO-BREAK SPACE as character 1`. */
export function describeLine(text: string, find: (line: string) => string | null): string | null {
  for (const [i, line] of text.split(/\r\n?|\n/).entries()) {
    const found = find(line.replaceAll('\t', ' '))
    if (found !== null) return `line ${i + 1} has ${found}`
  }
  return null
}
