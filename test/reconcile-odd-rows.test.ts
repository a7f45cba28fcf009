// Rows that others have filled with times beyond every calendar do not end a sweep.
import { expect, test } from '@jest/globals'
import { reconcile } from '../src/reconcile.ts'
import { newProcess, newTimedWorld } from './support/timed-world.ts'
test.each([
  ['next_retry_at infinity', `next_retry_at = 'infinity', final_status = 'retrying', retry_count = 1`],
  ['created_at -infinity', `created_at = '-infinity', final_status = 'sent', twilio_message_sid = 'SM1'`],
  [
    'far time',
    `final_status = 'sent', twilio_message_sid = 'SM1', sms_metadata = '{"attempts":[{"number":0,"status":"sent","sid":"SM1","times":{"sent":"+275760-09-13T00:00:00.000Z"}}]}'`,
  ],
])('%s: the sweep goes on', async (_what, set) => {
  const world = await newTimedWorld()
  await world.database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content) values (1, '+12065550199', 'outbound', 5, 'Hello')`,
  )
  await world.database.query(`update sms_usage_logs set ${set}`)
  expect(await reconcile(await newProcess(world))).toMatchObject({ looked: 1 })
})
