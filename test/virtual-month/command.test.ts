// npm run outcome: its options, its exit codes, and the policy files in examples/.
import { expect, test } from '@jest/globals'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createRetryPolicy, ruleFor, scheduleOf } from '../../src/delivery/retry-policy.ts'

const run = promisify(execFile)
const MAIN = fileURLToPath(new URL('../../outcome/main.ts', import.meta.url))
const POLICIES = new URL('../../examples/policies/', import.meta.url)
const PATIENT = fileURLToPath(new URL('messages-that-can-wait.json', POLICIES))

const outcome = async (...args: string[]): Promise<string> =>
  (await run(process.execPath, [MAIN, '--messages', '1000', ...args])).stdout

test('prints the figures as JSON, with those of the given policy file at the end', async () => {
  const { options, policies } = JSON.parse(
    await outcome('--json', '--seed', '9', '--mix', 'high', '--policy', PATIENT),
  )
  expect(options).toEqual({ mix: 'high', handsets: 'central', messages: 1000, seed: 9, lookedUp: 0 })
  const [patient, own] = policies.slice(-2)
  expect([patient.name, own.name]).toEqual(['can wait', 'messages-that-can-wait.json'])
  expect(own.figures).toEqual(patient.figures)
})

test('prints the same table for the same seed', async () => {
  const [one, again] = await Promise.all([outcome('--seed', '3'), outcome('--seed', '3')])
  expect(one).toBe(again)
  expect(one).toContain('| **retry success** (> 80 %) |')
})

test.each([
  ['--mix', 'usual', '--mix must be one of low, central, high'],
  ['--seed', '-1', '--seed must be a whole number'],
  ['--looked-up', '2', '--looked-up must be a share from 0 to 1'],
])('refuses %s %s with exit code 2', async (flag, value, message) => {
  await expect(outcome(`${flag}=${value}`)).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining(message),
  })
})

test.each(readdirSync(POLICIES))('the policy file %s is valid', (name) => {
  const file: unknown = JSON.parse(readFileSync(new URL(name, POLICIES), 'utf8'))
  expect(createRetryPolicy(file).rules.size).toBeGreaterThan(100)
})

test('messages that can wait are retried 8 and 24 hours after 30003', () => {
  const policy = createRetryPolicy(JSON.parse(readFileSync(PATIENT, 'utf8')))
  expect(scheduleOf(policy, ruleFor(policy, 30003))).toEqual([8 * 3600, 16 * 3600])
})
