// The Drizzle model of docs/orm.md: the real drizzle-kit compares it with a migrated database.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { pushSchema } from 'drizzle-kit/api'
import { eq } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { boolean, integer, jsonb, pgTable, serial, text, timestamp, varchar } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { smsUsageLogs } from '../../examples/orm/drizzle.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let pool: pg.Pool
let db: NodePgDatabase
beforeAll(async () => {
  database = await createTestDatabase()
  pool = new pg.Pool({ connectionString: database.url })
  // A connection may still be closing when the database is dropped.
  pool.on('error', () => undefined)
  db = drizzle(pool)
})
afterAll(async () => {
  await pool.end()
  await database.drop()
})

/** What `drizzle-kit push` would run for these models. Nothing is run here. */
async function proposed(models: Record<string, unknown>, tables?: string[]): Promise<string[]> {
  // The API has not followed the newest type of a database; it only calls `execute`.
  const { statementsToExecute } = await pushSchema(models, db as never, undefined, tables)
  return statementsToExecute.map((statement) => statement.split('\n')[0] ?? '')
}

/** As apps had it before sms-retry. */
const elevenColumns = pgTable('sms_usage_logs', {
  id: serial().primaryKey(),
  userId: integer('user_id').notNull(),
  phoneNumber: varchar('phone_number', { length: 20 }).notNull(),
  messageDirection: varchar('message_direction', { length: 10 }).notNull(),
  messageLength: integer('message_length').notNull(),
  messageContent: text('message_content'),
  success: boolean().default(true),
  processingTimeMs: integer('processing_time_ms'),
  errorMessage: text('error_message'),
  smsMetadata: jsonb('sms_metadata'),
  createdAt: timestamp('created_at').defaultNow(),
})

test('with the model, drizzle-kit push proposes nothing', async () => {
  expect(await proposed({ smsUsageLogs })).toEqual([])
})

test('with the model, drizzle-kit push proposes only the changes of other tables', async () => {
  const orders = pgTable('orders', { id: serial().primaryKey() })
  expect(await proposed({ smsUsageLogs, orders })).toEqual(['CREATE TABLE "orders" ('])
})

test('without our columns and indexes, drizzle-kit push would drop them', async () => {
  const statements = await proposed({ elevenColumns })
  const dropped = statements.filter((statement) => /DROP (INDEX|COLUMN)/.test(statement))
  expect(dropped).toHaveLength(8 + 5)
  expect(statements).toContainEqual('ALTER TABLE "sms_usage_logs" DROP COLUMN "final_status";')
  expect(statements).toContainEqual('DROP INDEX "idx_sms_usage_logs_in_flight";')
})

test('with a `tablesFilter` in place of the model, drizzle-kit push would drop the sequence of the ids', async () => {
  expect(await proposed({}, ['!sms_usage_logs'])).toEqual(['DROP SEQUENCE "public"."sms_usage_logs_id_seq";'])
})

test('the model reads a row with its types', async () => {
  await database.query(`insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, sms_metadata)
    values (7, '+12065550199', 'outbound', 5, '{"order": 1001}')`)
  const rows = await db.select().from(smsUsageLogs).where(eq(smsUsageLogs.userId, 7))
  expect(rows).toMatchObject([
    {
      userId: 7,
      smsMetadata: { order: 1001 },
      createdAt: expect.any(Date),
      finalStatus: 'unknown',
      maxRetries: 3,
    },
  ])
})
