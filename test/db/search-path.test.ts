// Tests `?schema=` in DATABASE_URL, as ORMs write it: all connections use the table of that schema only.
import { afterEach, describe, expect, test } from '@jest/globals'
import { openDatabase } from '../../src/postgres/pool.ts'
import { readTableState } from '../../src/db/bookkeeping.ts'
import { SchemaError } from '../../src/shared/errors.ts'
import { migrate } from '../../src/processes/migrate.ts'
import { WORKING_NUMBER } from '../cli/run-cli.ts'
import { type TestDatabase, withParameter } from '../support/database.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import { databaseWith } from './migrating.ts'

let world: World | undefined
afterEach(async () => {
  await world?.stop()
  world = undefined
})

/** A name that means another schema without quotes, and that contains a quote. */
const SCHEMA = 'App"1; drop'
const QUOTED = '"App""1; drop"'

const configOf = ({ url }: TestDatabase, schema: string) => ({
  ...{ url: withParameter(url, 'schema', schema), ssl: null, poolMax: 2 },
})

async function tablesOf(database: TestDatabase): Promise<unknown[]> {
  const rows = await database.query<{ schema: string }>(
    `select relnamespace::regnamespace::text as "schema" from pg_class where relname = 'sms_usage_logs' order by 1`,
  )
  return rows.map(({ schema }) => schema)
}

describe('the schema in DATABASE_URL', () => {
  test('is where migrate creates the table', async () => {
    const database = await databaseWith(`create schema ${QUOTED}`)
    await migrate(configOf(database, SCHEMA), silentLogger)
    expect(await tablesOf(database)).toEqual([QUOTED])
    expect(await migrate(configOf(database, SCHEMA), silentLogger)).toEqual([])
  })

  test('is the only one that sender, worker and web use', async () => {
    world = await startWorld({
      databaseUrl: async (database) => {
        await database.query(`create schema ${QUOTED}`)
        await database.query(`alter table sms_usage_logs set schema ${QUOTED}`)
        await migrate(configOf(database, SCHEMA), silentLogger)
        return withParameter(database.url, 'schema', SCHEMA)
      },
    })
    const { sender, database, env } = world
    expect(await (await fetch(`${env['PUBLIC_BASE_URL']}/readyz`)).text()).toBe('ready\n')
    await world.startWorker()
    const sent = await sender.send({ userId: 7, to: WORKING_NUMBER, body: 'Hello' })
    const runtime = world.openRuntime()
    const enqueued = await sender.enqueue(
      { userId: 7, to: WORKING_NUMBER, body: 'Hello' },
      { db: runtime.database },
    )
    await runtime.database.close()
    await waitFor('both to be delivered', async () => {
      const rows = await database.query(
        `select id from ${QUOTED}.sms_usage_logs where final_status = 'delivered'`,
      )
      return rows.length === 2
    })
    expect([sent.id, enqueued.id].toSorted()).toEqual([1, 2])
    expect(await tablesOf(database)).toEqual([QUOTED])
  })

  test('must exist, so a misspelt name creates no second table', async () => {
    const database = await databaseWith()
    await migrate(configOf(database, 'public'), silentLogger)
    const failure: unknown = await migrate(configOf(database, 'pulbic'), silentLogger).catch(
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(SchemaError)
    expect((failure as SchemaError).message).toMatch(/does not find it.*schema=/)
    expect(await tablesOf(database)).toEqual(['public'])
  })

  test('decides whether the table is found', async () => {
    const database = await databaseWith('create schema other')
    await migrate(configOf(database, 'public'), silentLogger)
    for (const [schema, kind] of [
      ['public', 'current'],
      ['other', 'elsewhere'],
      ['nowhere', 'elsewhere'],
    ] as const) {
      const opened = openDatabase(configOf(database, schema), () => undefined)
      expect((await readTableState(opened)).kind).toBe(kind)
      await opened.close()
    }
  })
})
