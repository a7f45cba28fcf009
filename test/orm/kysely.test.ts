// The types for Kysely of docs/orm.md. The columns are compared with a migrated database; `npm run types` checks the rest.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Kysely, PostgresDialect } from 'kysely'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import type { Database } from '../../examples/orm/kysely.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let db: Kysely<Database>
beforeAll(async () => {
  database = await createTestDatabase()
  const pool = new pg.Pool({ connectionString: database.url })
  // A connection may still be closing when the database is dropped.
  pool.on('error', () => undefined)
  db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
})
afterAll(async () => {
  await db.destroy()
  await database.drop()
})

test('the types have the columns of the table, nullable and with a default as there', async () => {
  const source = await readFile(new URL('../../examples/orm/kysely.ts', import.meta.url), 'utf8')
  const typed = [...source.matchAll(/^ {2}(\w+): (.*)$/gm)]
    .map(([, name = '', type = '']) => ({
      name,
      isNullable: type.includes('null'),
      hasDefault: type.startsWith('Generated<'),
    }))
    .filter(({ name }) => name !== 'sms_usage_logs')
  const tables = await db.introspection.getTables()
  const columns = tables.find(({ name }) => name === 'sms_usage_logs')?.columns ?? []
  expect(typed).toEqual(
    columns.map(({ name, isNullable, hasDefaultValue }) => ({
      name,
      isNullable,
      hasDefault: hasDefaultValue,
    })),
  )
})

test('a query has the types', async () => {
  const sms_metadata = JSON.stringify({ order: 1001 })
  await db
    .insertInto('sms_usage_logs')
    .values({
      user_id: 7,
      phone_number: '+12065550199',
      message_direction: 'outbound',
      message_length: 5,
      sms_metadata,
    })
    .execute()
  const row = await db
    .selectFrom('sms_usage_logs')
    .select(['id', 'final_status', 'created_at', 'sms_metadata'])
    .where('user_id', '=', 7)
    .executeTakeFirstOrThrow()
  const created: Date | null = row.created_at
  const order: unknown = row.sms_metadata?.['order']
  expect({ ...row, created, order }).toMatchObject({
    id: 1,
    final_status: 'unknown',
    created: expect.any(Date),
    order: 1001,
  })
  // @ts-expect-error: there is no such column
  expect(() => db.selectFrom('sms_usage_logs').select('nothing').compile()).not.toThrow()
})
