// The simulator of `sms-retry/testing`. What it simulates is tested in test/simulator; a whole delivery, in test/examples.
import { afterEach, expect, test } from '@jest/globals'
import { type RunningSimulator, startSimulator } from '../../src/testing.ts'
import { newWorld, message } from '../support/world-with.ts'

const running: RunningSimulator[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((simulator) => simulator.stop()))
})

async function start(...options: Parameters<typeof startSimulator>): Promise<RunningSimulator> {
  const simulator = await startSimulator(...options)
  running.push(simulator)
  return simulator
}

test('its messages can be read without HTTP, also after it has stopped', async () => {
  const simulator = await start()
  const world = await newWorld({ env: { TWILIO_API_BASE_URL: simulator.url } })
  const { sid } = await world.sender.send(message())
  await simulator.idle()
  await simulator.stop()
  expect(simulator.messages()).toMatchObject([{ sid, to: '+12065550199', status: 'delivered' }])
  expect(simulator.callbacks().at(-1)).toMatchObject({ message_sid: sid, answer_status: 204 })
})

test('two of them have ports and sids of their own, so a database can be kept', async () => {
  const [one, other] = [await start(), await start()]
  expect(one.url).not.toBe(other.url)
  expect(one.seed).not.toBe(other.seed)
  expect((await start({ seed: 7 })).seed).toBe(7)
})

test('its option for createSender has its address and credentials', async () => {
  const key = { apiKeySid: 'SK1', apiKeySecret: 'secret' }
  const simulator = await start({ accountSid: `AC${'1'.repeat(32)}`, authToken: 'token', ...key })
  expect(simulator.twilio).toEqual({
    accountSid: `AC${'1'.repeat(32)}`,
    authToken: 'token',
    from: '+12065550100',
    apiBaseUrl: simulator.url,
    ...key,
  })
  expect(simulator.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
})

test('it reads no environment variables', async () => {
  const before = { ...process.env }
  Object.assign(process.env, { TWILIO_ACCOUNT_SID: 'AC2', TWILIO_AUTH_TOKEN: 'other', PORT: '1', HOST: '::' })
  try {
    const { twilio } = await start()
    expect(twilio).toMatchObject({
      accountSid: expect.not.stringMatching('AC2'),
      authToken: expect.any(String),
    })
    expect(twilio.authToken).not.toBe('other')
    expect(twilio.apiBaseUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d{4,5}$/)
  } finally {
    for (const name of ['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN', 'PORT', 'HOST'])
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
  }
})

test('an invalid option is refused', async () => {
  await expect(startSimulator({ callbackDelayMs: -1 })).rejects.toThrow(RangeError)
})
