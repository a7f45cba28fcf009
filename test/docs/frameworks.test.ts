// The code of docs/frameworks.md is part of the examples, which test/examples runs. test/package compiles its claims about
// types.
import { expect, test } from '@jest/globals'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const page = await readFile(`${ROOT}/docs/frameworks.md`, 'utf8')
const excerpts = [...page.matchAll(/^From `(examples\/[^`]+)`:\n\n```[a-z]+\n(.*?)^```/gms)].map(
  ([, file = '', code = '']) => ({ file, code }),
)

/** Examples that show something else, on pages of their own. */
const OF_OTHER_PAGES = new Set([
  'order-confirmation',
  'opentelemetry',
  'orm',
  'outcome-webhook',
  'policies',
  'testing',
])

test.each(excerpts)('the code from $file is in that file', async ({ file, code }) => {
  expect(await readFile(`${ROOT}/${file}`, 'utf8')).toContain(code)
})

test('every example that mounts the endpoint alone has a row in the table, and every row has an example', async () => {
  const [, ...rows] = [...page.matchAll(/^\| .*\| (`examples\/[\w-]+`|example) \|$/gm)].map(
    ([, cell = '']) => cell,
  )
  const folders = (await readdir(`${ROOT}/examples`)).filter((name) => !OF_OTHER_PAGES.has(name))
  expect(rows.toSorted()).toEqual(folders.map((name) => `\`examples/${name}\``).toSorted())
  expect(
    folders.filter(
      (name) => name !== 'express4' && !excerpts.some(({ file }) => file.startsWith(`examples/${name}/`)),
    ),
  ).toEqual([])
})

test('the lines of the table occur in the code', async () => {
  const lines = [...page.matchAll(/^\|[^|]*\| `([^`]+)` \| `(examples\/[\w-]+)` \|$/gm)]
  expect(lines.length).toBe(7)
  for (const [, line = '', folder = ''] of lines) {
    const file = ['app.ts', 'main.ts', 'app/sms/twilio/status/route.ts'].find((name) =>
      existsSync(`${ROOT}/${folder}/${name}`),
    )
    const code = (await readFile(`${ROOT}/${folder}/${file}`, 'utf8')).replace(
      'statusCallbacks)',
      'statusCallbackRouter())',
    )
    expect(code).toContain(line)
  }
})
