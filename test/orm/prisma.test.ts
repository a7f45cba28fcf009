// The Prisma model of docs/orm.md: Prisma's own schema engine compares it with a migrated database.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { diffByPrisma } from './prisma-engine.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const schema = await readFile(new URL('../../examples/orm/schema.prisma', import.meta.url), 'utf8')
const OURS = /^ +(retryCount|maxRetries|nextRetryAt|twilioMessageSid|finalStatus) .*\n/gm
const elevenColumns = schema.replace(OURS, '')
const withoutModel = schema.replace(/^model .*?^}\n/ms, '')
const ORDERS = 'model Orders {\n  id Int @id\n}\n'

test('with the model, Prisma proposes nothing', async () => {
  expect(await diffByPrisma(database.url, schema)).toBe('')
})

test('with the model, Prisma proposes only the changes of other tables', async () => {
  expect(await diffByPrisma(database.url, schema + ORDERS)).toMatch(/^CREATE TABLE "Orders" \([^;]*;$/)
})

test('without our columns, Prisma would drop them', async () => {
  const dropped = await diffByPrisma(database.url, elevenColumns)
  expect(dropped).toMatch(/^ALTER TABLE "sms_usage_logs" DROP COLUMN "final_status",/)
  expect(dropped.match(/DROP COLUMN/g)).toHaveLength(5)
})

test('a table that is named as external is left alone, with any model and without one', async () => {
  expect(await diffByPrisma(database.url, withoutModel)).toBe('DROP TABLE "sms_usage_logs";')
  for (const each of [schema, elevenColumns, withoutModel])
    expect(await diffByPrisma(database.url, each, ['public.sms_usage_logs'])).toBe('')
})
