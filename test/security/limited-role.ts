// A login role with the rights of sql/roles/least-privilege.sql, under a name of its own: roles are the server's, and
// test files share one.
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { TestDatabase } from '../support/database.ts'

const SCRIPT = fileURLToPath(new URL('../../sql/roles/least-privilege.sql', import.meta.url))

export interface LimitedRole {
  /** Creates the role and gives it its rights in this database. */
  create(database: TestDatabase): Promise<string>
  /** Once its database is gone. */
  drop(): Promise<void>
}

export function limitedRole(): LimitedRole {
  const name = `limited_${randomBytes(6).toString('hex')}`
  return {
    async create(database) {
      await database.query(`create role ${name} login password 'secret'`)
      await giveRights(database, name)
      const url = new URL(database.url)
      url.username = name
      url.password = 'secret'
      return url.toString()
    },
    async drop() {
      const client = new pg.Client({ connectionString: process.env['TEST_SERVER_URL'] })
      await client.connect()
      await client.query(`drop role if exists ${name}`)
      await client.end()
    },
  }
}

export async function giveRights(database: TestDatabase, name: string): Promise<void> {
  await database.query((await readFile(SCRIPT, 'utf8')).replaceAll('sms_retry_app', name))
}
