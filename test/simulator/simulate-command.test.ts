// Every fault has a flag, and the status of the account. The command itself is tested in test/cli/program.test.ts.
import { spawn } from 'node:child_process'
import { expect, test } from '@jest/globals'
import { NO_CHAOS } from '../../src/simulator/chaos.ts'
import { waitFor } from './start-receiver.ts'

/** A different share for each fault. */
const shareOf = (index: number) => (index + 1) / 100

const ACCOUNT_STATUS = ['--account-status', 'suspended']

const PROGRAM = new URL('../../src/cli/program.ts', import.meta.url).href

test('simulate has a flag for every fault, and for the status of the account', async () => {
  const names = Object.keys(NO_CHAOS)
  const flags = names.flatMap((name, index) => [
    `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    `${shareOf(index)}`,
  ])
  const script = `
    const { runProgram } = await import(${JSON.stringify(PROGRAM)})
    process.exitCode = await runProgram(['node', 'sms-retry', ...process.argv.slice(1)], {})
  `
  const argv = [
    '--input-type=module',
    '--eval',
    script,
    '--',
    'simulate',
    '--port',
    '0',
    ...flags,
    ...ACCOUNT_STATUS,
  ]
  const child = spawn(process.execPath, argv, { env: {}, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk
    })
  }
  try {
    const addressIn = () => /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0]
    await waitFor('the address', () => addressIn() !== undefined || child.exitCode !== null)
    const url = addressIn()
    if (url === undefined) throw new Error(output)
    const page = await (await fetch(url)).text()
    for (const [index, name] of names.entries()) {
      expect(page).toContain(`<code>${name}</code></td><td>${shareOf(index)}</td>`)
    }
    expect(page).toContain('The account is suspended')
    child.kill('SIGTERM')
    await waitFor('the end', () => child.exitCode !== null)
    expect(child.exitCode).toBe(0)
  } finally {
    child.kill('SIGKILL')
  }
})
