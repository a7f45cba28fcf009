// The examples of tests for an app, run by Jest and Vitest as a user runs them. Needs dist/, which `npm test` builds.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

/** What the runner prints. It exits with 1 unless every test passes. */
async function run(args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], NO_COLOR: '1', DATABASE_URL: database.url },
    timeout: 240_000,
  })
  return stdout + stderr
}

test('the example for Jest passes', async () => {
  const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '-w', '1', '--verbose']
  const output = await run([...jest, '--config', 'examples/testing/jest/jest.config.json'])
  expect([...output.matchAll(/ ✓ (.*?)(?: \(\d+ ms\))?$/gm)].map(([, name]) => name)).toEqual([
    'an order is confirmed once',
    'a customer who has opted out is not reachable',
  ])
})

test('the examples for Vitest pass, also the one with simulator and database', async () => {
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--reporter', 'tap-flat']
  const output = await run([...vitest, '--dir', 'examples/testing/vitest'])
  const names = [...output.matchAll(/^ok \d+ - .*? > (.*?) # time/gm)].map(([, name]) => name)
  expect(names.toSorted()).toEqual([
    'a customer who has opted out is not reachable',
    'a phone that is switched off gets the confirmation by a retry',
    'an order is confirmed once',
  ])
})
