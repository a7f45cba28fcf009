// Tests RECIPIENT_ALLOWLIST from the sender and the worker to the simulator: other recipients are recorded as canceled, and
// no request is made for them.
import { expect, test } from '@jest/globals'
import { findMessage } from '../../src/db/messages.ts'
import { actOnMessage } from '../../src/messages/act-on-message.ts'
import { sendMessage } from '../../src/messages/send-message.ts'
import { toText } from '../../src/metrics/metrics-snapshot.ts'
import { USER_ID_COLUMN } from '../support/circumstances.ts'
import { seriesOf } from '../support/metrics.ts'
import { newProcess, runDue } from '../support/timed-world.ts'
import { waitFor } from '../support/wait-for.ts'
import { appClient, jobCount, message, newWorld, rowOf } from '../support/world-with.ts'

const ALLOWED = '+12065550199'
const OTHER = '+12065550100'
const WITH_LIST = { env: { RECIPIENT_ALLOWLIST: `${ALLOWED},+44*` } }

const CANCELED = {
  final_status: 'canceled',
  success: true,
  next_retry_at: null,
  error_message: 'The recipient is not in RECIPIENT_ALLOWLIST',
}

test('send() to another recipient records the message as canceled, and makes no request', async () => {
  const world = await newWorld(WITH_LIST)
  const result = await world.sender.send(message({ to: OTHER, idempotencyKey: 'one' }))
  expect(result).toEqual({ id: expect.any(Number), status: 'failed', reason: CANCELED.error_message })
  expect(await rowOf(world, result.id)).toMatchObject(CANCELED)
  expect(await world.sender.send(message({ to: OTHER, idempotencyKey: 'one' }))).toEqual(result)
  expect(await jobCount(world)).toBe(0)
  expect(world.simulator.messages()).toEqual([])
})

test('send() counts a message that is never sent as an outcome', async () => {
  const world = await newWorld(WITH_LIST)
  const deps = await newProcess(world)
  await sendMessage({ ...deps, userIdColumn: USER_ID_COLUMN }, message({ to: OTHER }))
  const series = seriesOf(await toText([await deps.metrics.snapshot()]))
  expect(series.get('sms_retry_outcomes_total{status="canceled",retried="no"}')).toBe(1)
})

test('send() to a listed number, or one with a listed prefix, is not affected', async () => {
  const world = await newWorld(WITH_LIST)
  for (const to of [ALLOWED, '+447700900103']) {
    expect(await world.sender.send(message({ to }))).toMatchObject({ status: 'accepted' })
  }
  expect(world.simulator.messages().map(({ to }) => to)).toEqual([ALLOWED, '+447700900103'])
})

test('enqueue() to another recipient adds a canceled row and no job', async () => {
  const world = await newWorld(WITH_LIST)
  const { id, created } = await world.sender.enqueue(message({ to: OTHER }), { db: await appClient(world) })
  expect(created).toBe(true)
  expect(await rowOf(world, id)).toMatchObject(CANCELED)
  expect(await jobCount(world)).toBe(0)
})

test('a message from before the list is canceled when it is due, and a worker makes no request for it', async () => {
  const world = await newWorld(WITH_LIST)
  const { id } = await world.sender.enqueue(message(), { db: await appClient(world) })
  await world.database.query('update sms_usage_logs set phone_number = $1', [OTHER])
  await world.startWorker()
  const canceled = await waitFor('the cancellation', async () => {
    const row = await rowOf(world, id)
    return row.final_status === 'canceled' && row
  })
  expect(canceled).toMatchObject(CANCELED)
  expect(world.simulator.messages()).toEqual([])
})

test('a manual retry to another recipient has no effect, and says why', async () => {
  const world = await newWorld(WITH_LIST)
  const deps = await newProcess(world)
  const { id } = await world.sender.send(message({ to: OTHER }))
  const found = await findMessage(deps.database, id)
  if (found === null) throw new Error('The message does not exist')
  const acted = await actOnMessage(deps, found, { kind: 'retry', seen: null, force: true })
  expect(acted).toEqual({ outcome: 'nothing_to_do', why: 'the recipient is not in RECIPIENT_ALLOWLIST' })
  await runDue(world, deps, id, 0)
  expect(world.simulator.messages()).toEqual([])
})
