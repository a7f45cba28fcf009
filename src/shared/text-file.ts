// Reads a text file that a person has written, with whatever editor: UTF-8 or UTF-16, with a byte order mark or without.
import { readFileSync } from 'node:fs'

/** @throws Error if the file cannot be read, or is no text */
export function readTextFile(path: string): string {
  const bytes = readFileSync(path)
  try {
    // It drops a byte order mark.
    return new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes)
  } catch (error) {
    throw new Error('it is neither UTF-8 nor UTF-16; save it as UTF-8', { cause: error })
  }
}

/** A file that begins with an ASCII character has a NUL beside it in UTF-16. PowerShell's `>` writes such files. */
function encodingOf([first, second]: Buffer): string {
  if ((first === 0xff && second === 0xfe) || second === 0) return 'utf-16le'
  if ((first === 0xfe && second === 0xff) || first === 0) return 'utf-16be'
  return 'utf-8'
}

/** The first line that holds what `find` finds, such as `line 3 has U+00A0 NO-BREAK SPACE as character 1`. */
export function describeLine(text: string, find: (line: string) => string | null): string | null {
  for (const [i, line] of text.split(/\r\n?|\n/).entries()) {
    const found = find(line.replaceAll('\t', ' '))
    if (found !== null) return `line ${i + 1} has ${found}`
  }
  return null
}
