// The demo as a real process: every message becomes final, and nothing is left behind, even after an interrupt. Needs dist/.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createTemporaryFolder, type TemporaryFolder } from '../support/left-behind.ts'
import { type CliProcess, startCli } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'

let folder: TemporaryFolder
let demo: CliProcess | undefined
beforeEach(async () => {
  folder = await createTemporaryFolder()
})
afterEach(async () => {
  demo?.kill('SIGKILL')
  await folder.remove()
})

function startDemo(...args: string[]): CliProcess {
  demo = startCli(['demo', ...args], { TMPDIR: folder.path })
  return demo
}

/** Fails with what the demo printed if it ends instead. */
function untilPrinted({ child, stderr }: CliProcess, sign: RegExp): Promise<unknown> {
  return waitFor(`the demo to print ${sign}`, () => {
    if (child.exitCode !== null) throw new Error(`The demo ended with ${child.exitCode}:\n${stderr()}`)
    return sign.test(stderr())
  })
}

const nothing = { files: [], processes: [] }

test('demo --exit exits with 0 and prints the closing table on stdout', async () => {
  const { ended, stdout, stderr } = startDemo('--exit', '--messages', '40')
  // With its words, which say why, if it fails.
  expect([await ended, stderr()]).toEqual([0, expect.stringContaining('sent 40/40')])
  const figures = Object.fromEntries(
    [...stdout().matchAll(/^(\S.*?) {2,}(\d+)/gm)].map(([, name, count]) => [name, Number(count)]),
  )
  expect(figures).toMatchObject({ Messages: 40, 'Not final': 0, 'Sent twice': 0 })
  const { 'Delivered at first try': first = 0, 'Recovered by retry': recovered = 0 } = figures
  expect(first).toBeGreaterThan(0)
  expect(recovered).toBeGreaterThan(0)
  expect(first + recovered + (figures['Failed for good'] ?? 0)).toBe(40)
  // Addresses and progress are messages for people, on stderr.
  expect(stderr()).toMatch(/http:\/\/127\.0\.0\.1:\d+\/inbox/)
  expect(stdout()).not.toContain('http')
  await folder.untilEmpty()
})

test('demo needs no settings, and ignores those of the environment', async () => {
  const wrong = { DATABASE_URL: 'postgres://127.0.0.1:1/app', TWILIO_AUTH_TOKEN: 'x', RETRY_DELAY_SCALE: 'x' }
  demo = startCli(['demo', '--exit', '--messages', '3'], { TMPDIR: folder.path, ...wrong })
  expect(await demo.ended).toBe(0)
})

test.each([
  ['SIGINT', 'while messages are sent', /sent \d+\/\d+/],
  ['SIGTERM', 'while messages are sent', /sent \d+\/\d+/],
  ['SIGINT', 'while it starts', /Starting PostgreSQL/],
] as const)('%s %s stops the demo, and leaves no process and no folder', async (signal, _when, sign) => {
  const started = startDemo('--messages', '400')
  const { child, ended, stderr, kill } = started
  await untilPrinted(started, sign)
  kill(signal)
  await ended
  expect(child.signalCode).toBeNull()
  expect(stderr()).not.toMatch(/^ {4}at |Error while stopping/m)
  await folder.untilEmpty()
})

test('kill -9 during the demo leaves no process and no folder', async () => {
  const started = startDemo('--messages', '400')
  const { ended, kill } = started
  await untilPrinted(started, /sent \d+\/\d+/)
  expect(await folder.leftBehind()).not.toEqual(nothing)
  kill('SIGKILL')
  await ended
  await folder.untilEmpty()
})
