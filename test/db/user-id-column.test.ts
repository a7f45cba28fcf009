// The column `user_id` as the app has it: migrated as it is, and read for the checks of new messages.
import { expect, test } from '@jest/globals'
import { type UserIdColumn, readUserIdColumn } from '../../src/db/user-id-column.ts'
import { databaseWith, migrated } from './migrating.ts'
import { open, ORIGINAL_TABLE } from './original-table.ts'

test.each<[definition: string, column: UserIdColumn]>([
  ['integer not null', { type: 'integer', isNullable: false, maxLength: null }],
  ['bigint', { type: 'bigint', isNullable: true, maxLength: null }],
  ['uuid not null', { type: 'uuid', isNullable: false, maxLength: null }],
  ['text', { type: 'text', isNullable: true, maxLength: null }],
  ['varchar(40) not null', { type: 'text', isNullable: false, maxLength: 40 }],
  ['account_number', { type: 'text', isNullable: true, maxLength: null }],
  ['short_name', { type: 'text', isNullable: false, maxLength: 8 }],
  // Not supported; whole numbers are inserted as before.
  ['smallint', { type: 'integer', isNullable: true, maxLength: null }],
])('a table whose column user_id is %s is migrated, and the column is read as it is', async (definition, column) => {
  const database = await databaseWith(
    "create domain account_number as text check (value like 'A%')",
    'create domain short_name as varchar(8) not null',
    ORIGINAL_TABLE.replace('user_id integer not null', `user_id ${definition}`),
  )
  await migrated(database)
  const db = open(database)
  try {
    expect(await readUserIdColumn(db)).toEqual(column)
  } finally {
    await db.close()
  }
})

test('migrate creates user_id as an integer that is required', async () => {
  const database = await databaseWith()
  await migrated(database)
  const db = open(database)
  try {
    expect(await readUserIdColumn(db)).toEqual({ type: 'integer', isNullable: false, maxLength: null })
  } finally {
    await db.close()
  }
})
