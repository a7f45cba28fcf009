// A table of numbers and a pool with one connection, so that each use finds the state that the previous one left. A proxy
// between them can lose data.
import { type Database, openDatabase } from '../../src/postgres/pool.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { type DatabaseProxy, startDatabaseProxy } from '../http/database-proxy.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

export interface Things {
  readonly direct: TestDatabase
  readonly proxy: DatabaseProxy
  readonly database: Database
  /** The numbers in the table. */
  list(): Promise<number[]>
  close(): Promise<void>
}

/** @param uniqueness "unique", or a deferred form of it; a number must also be below 100 */
export async function openThings(uniqueness: string): Promise<Things> {
  const direct = await createTestDatabase(null)
  await direct.query(`create table thing (id integer ${uniqueness} check (id < 100))`)
  const proxy = await startDatabaseProxy(direct.url, await freePort())
  const database = openDatabase({ url: proxy.url, ssl: null, poolMax: 1 }, () => undefined)
  return {
    direct,
    proxy,
    database,
    async list() {
      const rows = await direct.query<{ id: number }>('select id from thing order by id')
      return rows.map(({ id }) => id)
    },
    async close() {
      await database.close()
      await proxy.close()
      await direct.drop()
    },
  }
}

export const INSERT = 'insert into thing values ($1)'

export function insert(db: Pick<Database, 'executeSql'>, id: number): Promise<unknown> {
  return db.executeSql(INSERT, [id])
}
