// Tests rows with invalid times or numbers that the app wrote: they do not stop a sweep, and messages set aside are not sent.
import { describe, expect, test } from '@jest/globals'
import { reconcile } from '../../src/messages/reconcile.ts'
import { newProcess, newTimedWorld } from '../support/timed-world.ts'
import { enqueue, newWorker, waitForStatus } from '../support/workers.ts'
import type { World } from '../support/world.ts'
import { newWorld, rowOf } from '../support/world-with.ts'

async function insertRow({ database }: World, set: string): Promise<number> {
  const [row] = await database.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content)
     values (1, '+12065550199', 'outbound', 5, 'Hello') returning id`,
  )
  const id = row?.id ?? 0
  await database.query(`update sms_usage_logs set ${set} where id = $1`, [id])
  return id
}

const SET_ASIDE = `next_retry_at = 'infinity', final_status = 'retrying', success = false, retry_count = 1`

test.each([
  ['next_retry_at infinity', SET_ASIDE],
  ['next_retry_at -infinity', `next_retry_at = '-infinity', final_status = 'retrying', retry_count = 1`],
  ['created_at -infinity', `created_at = '-infinity', final_status = 'sent', twilio_message_sid = 'SM1'`],
  ['a negative retry_count', `retry_count = -1, final_status = 'retrying', next_retry_at = now()`],
  ['a huge retry_count', `retry_count = 2147483647, final_status = 'retrying', next_retry_at = now()`],
  [
    'a time of an attempt far in the future',
    `final_status = 'sent', twilio_message_sid = 'SM1', sms_metadata = '{"attempts":[{"number":0,"status":"sent","sid":"SM1","times":{"sent":"+275760-09-13T00:00:00.000Z"}}]}'`,
  ],
])('a row with %s does not stop the sweep, and is not checked again at once', async (_what, set) => {
  const world = await newTimedWorld()
  await insertRow(world, set)
  const deps = await newProcess(world)
  expect(await reconcile(deps)).toMatchObject({ looked: 1 })
  expect(await reconcile(deps)).toMatchObject({ looked: 0 })
})

describe('a message set aside, with next_retry_at infinity,', () => {
  const columnTypes = ['timestamptz', 'timestamp']

  /** The row without the metadata that each check writes. */
  const rowSetAside = async (world: World, id: number): Promise<object> => {
    const { sms_metadata: _, ...columns } = await rowOf(world, id)
    return columns
  }

  /** Meanwhile two other messages are delivered: one that waits for its job, and one that waits for a sweep. */
  async function runWorkerForAWhile(world: World): Promise<void> {
    const overdue = await insertRow(
      world,
      `final_status = 'retrying', success = false, retry_count = 1, next_retry_at = now() - interval '1 s',
       phone_number = '+12065550111', created_at = now() at time zone 'UTC' - interval '1 min'`,
    )
    const due = await enqueue(world, { to: '+12065550112' })
    await newWorker(world)
    await waitForStatus(world, due, 'delivered')
    await waitForStatus(world, overdue, 'delivered')
    const numbers = world.simulator.messages().map(({ to }) => to)
    expect(numbers.toSorted()).toEqual(['+12065550111', '+12065550112'])
  }

  test.each(columnTypes)('is not sent by the sweeps (%s)', async (type) => {
    const world = await newWorld()
    await world.database.query(`alter table sms_usage_logs alter column next_retry_at type ${type}`)
    const id = await insertRow(world, SET_ASIDE)
    const before = await rowSetAside(world, id)
    await runWorkerForAWhile(world)
    expect(await rowSetAside(world, id)).toEqual(before)
  })

  test.each(columnTypes)('is not sent by its job either (%s)', async (type) => {
    const world = await newWorld()
    await world.database.query(`alter table sms_usage_logs alter column next_retry_at type ${type}`)
    const id = await enqueue(world)
    await world.database.query(`update sms_usage_logs set next_retry_at = 'infinity' where id = $1`, [id])
    const before = await rowSetAside(world, id)
    await runWorkerForAWhile(world)
    expect(await rowSetAside(world, id)).toEqual(before)
  })
})
