// The TypeORM entity of docs/orm.md: TypeORM's own schema builder compares it with a migrated database.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { DataSource, EntitySchema } from 'typeorm'
import { SmsUsageLogs } from '../../examples/orm/typeorm.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

async function withSource<T>(entities: EntitySchema[], work: (source: DataSource) => Promise<T>): Promise<T> {
  const source = await new DataSource({ type: 'postgres', url: database.url, entities }).initialize()
  try {
    return await work(source)
  } finally {
    await source.destroy()
  }
}

/** What `synchronize` and `migration:generate` would run. Nothing is run here. */
const proposed = (...entities: EntitySchema[]): Promise<string[]> =>
  withSource(entities, async (source) => {
    const { upQueries } = await source.driver.createSchemaBuilder().log()
    return upQueries.map(({ query }) => query)
  })

const Orders = new EntitySchema({
  name: 'Order',
  tableName: 'orders',
  columns: { id: { type: 'integer', primary: true } },
})

test('with the entity, TypeORM proposes nothing', async () => {
  expect(await proposed(SmsUsageLogs)).toEqual([])
})

test('with the entity, TypeORM proposes only the changes of other tables', async () => {
  expect(await proposed(SmsUsageLogs, Orders)).toEqual([expect.stringMatching(/^CREATE TABLE "orders"/)])
})

test('with the eleven columns, TypeORM would drop our columns and indexes', async () => {
  const { retryCount, maxRetries, nextRetryAt, twilioMessageSid, finalStatus, ...columns } =
    SmsUsageLogs.options.columns
  const statements = await proposed(
    new EntitySchema({ name: 'Eleven', tableName: 'sms_usage_logs', columns }),
  )
  const dropped = statements.map((statement) => /DROP (INDEX|COLUMN)/.exec(statement)?.[1])
  expect(dropped.filter((kind) => kind === 'COLUMN')).toHaveLength(5)
  // It does not see the two indexes on expressions.
  expect(dropped.filter((kind) => kind === 'INDEX')).toHaveLength(6)
})

test('without `synchronize: false`, TypeORM would drop indexes', async () => {
  const { synchronize: _synchronize, ...options } = SmsUsageLogs.options
  const statements = await proposed(new EntitySchema(options))
  expect(statements).toContain('DROP INDEX "public"."idx_sms_usage_logs_in_flight"')
})

test('without any entity, TypeORM leaves the table alone', async () => {
  expect(await proposed()).toEqual([])
})

test('the entity has every column, and reads a row with its types', async () => {
  await database.query(`insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, sms_metadata)
    values (7, '+12065550199', 'outbound', 5, '{"order": 1001}')`)
  await withSource([SmsUsageLogs], async (source) => {
    const row = await source.getRepository(SmsUsageLogs).findOneByOrFail({ userId: 7 })
    expect(row).toMatchObject({ smsMetadata: { order: 1001 }, createdAt: expect.any(Date), maxRetries: 3 })
    const [all = {}] = await database.query('select * from sms_usage_logs')
    const columns = source.getMetadata(SmsUsageLogs).columns.map(({ databaseName }) => databaseName)
    expect(columns.toSorted()).toEqual(Object.keys(all).toSorted())
  })
})
