// Tests text files as editors save them: every encoding gives the same text, or is rejected.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeInvisible } from '../../src/shared/hidden-characters.ts'
import { describeLine, readTextFile } from '../../src/shared/text-file.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sms-retry-text-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function written(bytes: Buffer): Promise<string> {
  const path = join(folder, 'file')
  await writeFile(path, bytes)
  return path
}

const TEXT = 'PORT=3000\r\nNAME=größe\n'
const MARK = '\uFEFF'
const bigEndian = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16()

test.each<[string, Buffer]>([
  ['UTF-8', Buffer.from(TEXT)],
  ['UTF-8 with a byte order mark', Buffer.from(MARK + TEXT)],
  ['UTF-16, little endian, with a byte order mark', Buffer.from(MARK + TEXT, 'utf16le')],
  ['UTF-16, little endian, without', Buffer.from(TEXT, 'utf16le')],
  ['UTF-16, big endian, with a byte order mark', bigEndian(MARK + TEXT)],
  ['UTF-16, big endian, without', bigEndian(TEXT)],
])('a text file in %s is read', async (_encoding, bytes) => {
  expect(readTextFile(await written(bytes))).toBe(TEXT)
})

test('an empty file gives an empty text', async () => {
  expect(readTextFile(await written(Buffer.alloc(0)))).toBe('')
})

test('a text file in Latin-1 is rejected with what to do', async () => {
  const path = await written(Buffer.from(TEXT, 'latin1'))
  expect(() => readTextFile(path)).toThrow('it is neither UTF-8 nor UTF-16; save it as UTF-8')
})

test('describeLine names the line of a hidden character, and ignores tabs and line ends', () => {
  expect(describeLine('{\r\n\t"a":\u00A01\n}', describeInvisible)).toBe(
    'line 2 has U+00A0 NO-BREAK SPACE as character 6',
  )
  expect(describeLine('{\r\n\t"a": 1\r}', describeInvisible)).toBeNull()
})
