// Rows with a wrong time, written by an app, are listed first or last and hide no other row.
import { expect, test } from '@jest/globals'
import { createTestDatabase } from '../../support/database.ts'
import { startEndpoint } from '../endpoint.ts'
import { CREDENTIALS, pagesFrom } from './operator.ts'

test.each([
  // Milliseconds stored as seconds.
  ['in the year 58534', `to_timestamp(1785000000000 + n) at time zone 'UTC'`],
  ['before all times', `'-infinity'`],
])('with sixty messages %s, the links still reach all others', async (_what, time) => {
  const database = await createTestDatabase()
  await database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, twilio_message_sid, created_at)
     select 1, '+12065550199', 'outbound', 1, 'delivered', 'SM' || md5(n::text),
            case when n > 60 then now() at time zone 'UTC' - n * interval '1 hour' else ${time} end
       from generate_series(1, 130) as n`,
  )
  const web = await startEndpoint(database.url, CREDENTIALS)
  let rows = 0
  for await (const page of pagesFrom(web, '/messages')) {
    rows += [...page.text.matchAll(/<a href="\/messages\/\d+">/g)].length
  }
  await web.stop()
  await database.drop()
  expect(rows).toBe(130)
})
