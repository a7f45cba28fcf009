// Compares the schema that the migrations create with test/schema.sql, so that every change is visible.
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { dumpSchema } from '../support/schema-dump.ts'

const FILE = fileURLToPath(new URL('../schema.sql', import.meta.url))
const HEADER = `-- What the migrations in sql/ make of an empty database. Written by test/db/schema.test.ts:
-- UPDATE_SCHEMA=1 npm test -- test/db/schema.test.ts

`

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})

afterAll(() => database.drop())

test('the migrations create the schema in test/schema.sql', async () => {
  const schema = HEADER + (await dumpSchema(database))
  if (process.env['UPDATE_SCHEMA'] === '1') await writeFile(FILE, schema)
  const expected = await readFile(FILE, 'utf8').catch(() => '')
  // Jest shows either the message of an error or the difference of two strings.
  try {
    expect(schema).toBe(expected)
  } catch (error) {
    const difference = (error as Error).message
    throw new Error(
      `The migrations and test/schema.sql differ. If the change is meant, write it down with:\n` +
        `  UPDATE_SCHEMA=1 npm test -- test/db/schema.test.ts\n\n${difference}`,
    )
  }
})
