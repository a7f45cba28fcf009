// Tests that an idempotency key has one row, with any number of concurrent inserts and any end of their transactions.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { findByIdempotencyKey } from '../../src/db/messages.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import { insertMessage, NEW_MESSAGE } from './new-message.ts'
import { open } from './original-table.ts'

let own: TestDatabase
let database: Database

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own, 12)
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

test('ten concurrent inserts of one idempotency key make one row', async () => {
  const message = { ...NEW_MESSAGE, idempotencyKey: 'order-7' }
  const inserts = await Promise.all(Array.from({ length: 10 }, () => insertMessage(database, message)))
  const [inserted] = inserts.filter((insert) => insert !== null)
  expect(inserts.filter((insert) => insert === null)).toHaveLength(9)
  expect(
    await own.query(`select id from sms_usage_logs where sms_metadata ->> 'idempotency_key' = 'order-7'`),
  ).toEqual([{ id: inserted?.id }])
  expect((await findByIdempotencyKey(database, 'order-7'))?.id).toBe(inserted?.id)
})

test.each([
  'commits',
  'rolls back',
])('an insert waits for the transaction that inserted its idempotency key, which %s', async (end) => {
  const message = { ...NEW_MESSAGE, idempotencyKey: `order-${end}` }
  let second: ReturnType<typeof insertMessage> = Promise.resolve(null)
  const first = database.transaction(async (tx) => {
    const inserted = await insertMessage(tx, message)
    second = insertMessage(database, message)
    await waitFor('the second insert to wait for the first', async () => {
      const waiting = await own.query(
        `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      )
      return waiting.length === 1
    })
    if (end === 'rolls back') throw new Error('rolled back')
    return inserted
  })
  const firstId = (await first.catch(() => null))?.id ?? null
  const secondId = (await second)?.id ?? null
  expect([firstId, secondId].filter((id) => id !== null)).toHaveLength(1)
  expect(firstId === null).toBe(end === 'rolls back')
  expect((await findByIdempotencyKey(database, message.idempotencyKey))?.id).toBe(firstId ?? secondId)
})

test('idempotency keys are compared exactly, and a message without one is always new', async () => {
  const keys = ['a', 'A', 'a ', null, null, "a' or true --", '🎉']
  const ids: (number | undefined)[] = []
  for (const idempotencyKey of keys)
    ids.push((await insertMessage(database, { ...NEW_MESSAGE, idempotencyKey }))?.id)
  expect(ids).not.toContain(undefined)
  expect(await findByIdempotencyKey(database, 'b')).toBeNull()
  expect((await findByIdempotencyKey(database, "a' or true --"))?.id).toBe(ids[5])
})
