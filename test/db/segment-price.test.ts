// Tests the average price of a segment: of the newest messages, in the unit that most of them have, and without values that
// the app wrote in another form.
import { expect, test } from '@jest/globals'
import { readSegmentPrice } from '../../src/db/segment-price.ts'
import { open } from './original-table.ts'
import { createTestDatabase } from '../support/database.ts'

test('is the sum of the prices divided by the sum of the segments', async () => {
  const own = await createTestDatabase()
  const database = open(own)
  const add = (attempts: unknown, days = 0): Promise<unknown> =>
    own.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, success, final_status, created_at, sms_metadata)
       values (1, '+12065550100', 'outbound', 5, true, 'delivered', now() - make_interval(days => $2), $1)`,
      [JSON.stringify({ attempts }), days],
    )
  expect(await readSegmentPrice(database, 86_400)).toBeNull()
  await add([
    { number: 0, segments: 2, price: 0.02, price_unit: 'USD' },
    { number: 1, segments: 2, price: 0.04, price_unit: 'USD' },
  ])
  await add([{ number: 0, segments: 1, price: 5, price_unit: 'EUR' }])
  await add([{ number: 0, segments: 1, price: 99, price_unit: 'USD' }], 2)
  for (const odd of [
    null,
    'text',
    [1],
    [{ segments: 1 }],
    [{ segments: 0, price: 1, price_unit: 'USD' }],
    [{ segments: '1', price: '1', price_unit: 'USD' }],
    [{ segments: 1, price: 1, price_unit: 'dollars' }],
  ])
    await add(odd)
  // JSON can state a number that is too small for a double.
  await add([{ segments: 1, price: 7.5, price_unit: 'USD' }])
  await own.query(
    `update sms_usage_logs set sms_metadata = replace(sms_metadata::text, '7.5', '1e-400')::jsonb`,
  )
  expect(await readSegmentPrice(database, 86_400)).toEqual({ amount: 0.015, unit: 'USD', attempts: 2 })
  await database.close()
  await own.drop()
})
