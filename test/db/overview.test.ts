// Tests the counts over many messages against simple SQL.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Database } from '../../src/postgres/pool.ts'
import { countMessages, type Overview } from '../../src/db/overview.ts'
import { DELIVERY_STATUSES } from '../../src/delivery/status.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'

let own: TestDatabase
let database: Database

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own)
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

const NOTHING: Overview = {
  messages: 0,
  deliveredAtFirst: 0,
  deliveredByRetry: 0,
  failed: 0,
  failedAfterRetry: 0,
  canceled: 0,
  retrying: 0,
  inFlight: 0,
  retried: 0,
  retries: 0,
}

test('the overview of an empty table has only zeros', async () => {
  expect(await countMessages(database)).toEqual(NOTHING)
})

/** Each count as simple SQL. */
const QUESTIONS: Record<keyof Overview, string> = {
  messages: `select count(*) from ours`,
  deliveredAtFirst: `select count(*) from ours where final_status = any('{delivered,read}') and coalesce(retry_count, 0) <= 0`,
  deliveredByRetry: `select count(*) from ours where final_status = any('{delivered,read}') and retry_count > 0`,
  failed: `select count(*) from ours where final_status = any('{undelivered,failed,expired}')`,
  failedAfterRetry: `select count(*) from ours where final_status = any('{undelivered,failed,expired}') and retry_count > 0`,
  canceled: `select count(*) from ours where final_status = 'canceled'`,
  retrying: `select count(*) from ours where final_status = 'retrying'`,
  inFlight: `select count(*) from ours where coalesce(final_status, 'unknown') = any(
               '{unknown,pending,submitting,retrying,accepted,scheduled,queued,sending,sent}')`,
  retried: `select count(*) from ours where retry_count > 0`,
  // As a message is read: an app may have written a number that no attempt has.
  retries: `select coalesce(sum(least(greatest(retry_count, 0), 999)), 0) from ours`,
}

test('the overview has the counts of simple SQL for every status, direction and number of retries', async () => {
  // Each combination occurs a different number of times, so that no two counts are equal by chance.
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status,
                                 retry_count, twilio_message_sid)
     select 1, '+12065550100', direction, 0, status, retries, case when has_sid then gen_random_uuid()::text end
       from unnest($1::text[]) with ordinality as s (status, i),
            unnest('{null,0,1,3,-1,2147483647}'::int[]) with ordinality as r (retries, j),
            unnest('{outbound,inbound,OUTBOUND}'::text[]) with ordinality as d (direction, k),
            unnest('{true,false}'::bool[]) as has_sid,
            generate_series(1, i * j + k)`,
    [[...DELIVERY_STATUSES, null]],
  )
  const truth: Record<string, number> = {}
  for (const [figure, question] of Object.entries(QUESTIONS)) {
    const [row] = await own.query<{ n: string }>(
      `with ours as (
         select * from sms_usage_logs
          where message_direction <> 'inbound'
            and not (coalesce(final_status, 'unknown') = 'unknown' and twilio_message_sid is null))
       select (${question})::text as "n"`,
    )
    truth[figure] = Number(row?.n)
  }
  const overview = await countMessages(database)
  expect(overview).toEqual(truth)
  expect(Object.values(overview).filter((figure) => figure === 0)).toEqual([])
  const { deliveredAtFirst, deliveredByRetry, failed, canceled, inFlight, messages } = overview
  expect(deliveredAtFirst + deliveredByRetry + failed + canceled + inFlight).toBe(messages)
})
