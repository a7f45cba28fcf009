// The demo as a real process: every message becomes final, and nothing is left behind, even after an interrupt. More ends
// of it: test/endurance/interrupted-demos.test.ts. Needs dist/.
import { expect, test } from '@jest/globals'
import { SENDING, STARTING, useDemos } from './demos.ts'

const demos = useDemos()

test('demo --exit exits with 0 and prints the closing table on stdout, whatever the environment says', async () => {
  // It needs no settings, and ignores these.
  const wrong = { DATABASE_URL: 'postgres://127.0.0.1:1/app', TWILIO_AUTH_TOKEN: 'x', RETRY_DELAY_SCALE: 'x' }
  const { ended, stdout, stderr } = demos.start(['--exit', '--messages', '40'], wrong)
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
  await demos.folder().untilEmpty()
})

test('SIGTERM stops the demo while messages are sent, and leaves no process and no folder', () =>
  demos.expectOrderlyStop('SIGTERM', SENDING))

test('SIGINT stops the demo while it starts, and leaves no process and no folder', () =>
  demos.expectOrderlyStop('SIGINT', STARTING))
