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
  const figures = figuresIn(stdout())
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

test('demo --outage shows a hold and its end, and delivers every message', async () => {
  const { ended, stdout, stderr } = demos.start(['--exit', '--outage', '--messages', '60'])
  expect([await ended, stderr()]).toEqual([0, expect.stringContaining('sent 60/60')])
  const steps = [
    'Outage: the simulated Twilio account is suspended',
    'Sending is on hold: the Twilio account fails with ',
    'Probe 3 was made',
    'The simulated Twilio account is active again',
    'The hold has ended',
  ]
  const positions = steps.map((step) => stderr().indexOf(step))
  expect(positions).not.toContain(-1)
  expect(positions).toEqual(positions.toSorted((one, other) => one - other))
  const figures = figuresIn(stdout())
  expect(figures).toMatchObject({ Messages: 60, 'Failed for good': 0, 'Not final': 0, 'Sent twice': 0 })
  const { 'Delivered at first try': first = 0, 'Recovered by retry': recovered = 0 } = figures
  expect(first + recovered).toBe(60)
  expect([10001, 30002]).toContain(figures['Error code of the hold'])
  const { 'Failed probes': probes = 0, 'Requests in the outage during the hold': requests = 0 } = figures
  expect(probes).toBeGreaterThanOrEqual(3)
  expect(requests).toBeGreaterThanOrEqual(probes)
})

test('SIGTERM stops the demo while messages are sent, and leaves no process and no folder', () =>
  demos.expectOrderlyStop('SIGTERM', SENDING))

test('SIGINT stops the demo while it starts, and leaves no process and no folder', () =>
  demos.expectOrderlyStop('SIGINT', STARTING))

function figuresIn(closingTable: string): Record<string, number> {
  return Object.fromEntries(
    [...closingTable.matchAll(/^(\S.*?) {2,}(\d+)/gm)].map(([, name, count]) => [name, Number(count)]),
  )
}
