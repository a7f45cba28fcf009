// Compares .env.example with the configuration: it documents exactly the names that are read.
import { expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { envNames, parseConfig } from '../../src/config/config.ts'

const ENV_NAMES = envNames()

const text = await readFile(new URL('../../.env.example', import.meta.url), 'utf8')

/** `NAME=value`, even if the line is commented out. */
const lines = [...text.matchAll(/^(?:# ?)?([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
  ([, name = '', value = '']) => [name, value] as const,
)

test('.env.example lists every name that is read, each once, and no other', () => {
  // NODE_ENV belongs to the platform.
  const names = ENV_NAMES.filter((name) => name !== 'NODE_ENV')
  expect(lines.map(([name]) => name).toSorted()).toEqual(names.toSorted())
})

test('the values in .env.example are valid', () => {
  expect(() => parseConfig(Object.fromEntries(lines), [])).not.toThrow()
})
