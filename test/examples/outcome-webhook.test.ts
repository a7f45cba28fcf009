// The receiver of examples/outcome-webhook as a process of its own, with a worker that posts to it. Needs dist/.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { type CliProcess, startCli } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'

const RECEIVER = fileURLToPath(new URL('../../examples/outcome-webhook/receiver.ts', import.meta.url))
const SECRET = `whsec_${Buffer.alloc(32, 5).toString('base64')}`

let world: World
let receiver: CliProcess
let url: string

beforeAll(async () => {
  const port = await freePort()
  url = `http://127.0.0.1:${port}/sms-outcomes`
  receiver = startCli([], { PORT: `${port}`, OUTCOME_WEBHOOK_SECRET: SECRET }, RECEIVER)
  const answer = async (): Promise<number> => (await fetch(url, { method: 'POST' })).status
  await waitFor('the receiver', () =>
    answer()
      .then((status) => status === 400)
      .catch(() => false),
  )
  world = await startWorld({
    env: { OUTCOME_EVENTS: 'true', OUTCOME_WEBHOOK_URL: url, OUTCOME_WEBHOOK_SECRET: SECRET },
  })
  await world.startWorker()
})

afterAll(async () => {
  await world.stop()
  receiver.kill('SIGKILL')
  await receiver.ended
})

test('a worker posts an outcome, and the receiver takes it once', async () => {
  const { id } = await world.sender.send({
    userId: 7,
    to: '+15553000703',
    body: 'Hello',
    metadata: { order: 1001 },
  })
  await waitFor('the outcome', () => receiver.stdout() !== '')
  expect(JSON.parse(receiver.stdout())).toEqual({
    type: 'message.failed',
    messageId: id,
    errorCode: 30007,
    metadata: { order: 1001 },
  })
})

test('an unsigned request is refused', async () => {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url, { method: 'POST', headers, body: '{"type": "message.failed"}' })
  expect([answer.status, await answer.text()]).toEqual([400, 'Missing required headers'])
})
