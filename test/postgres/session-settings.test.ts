// Correctness does not depend on the settings of the database's owner or of a pooler.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Database, Db } from '../../src/postgres/pool.ts'
import { openSender } from '../../src/processes/sender.ts'
import { startWorld, type World } from '../support/world.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from '../db/original-table.ts'

const setForAll = (database: TestDatabase, setting: string, value: string): Promise<unknown> =>
  database.query(`alter database ${new URL(database.url).pathname.slice(1)} set ${setting} = '${value}'`)

describe('on a database whose transactions are serializable by default', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld({
      databaseUrl: async (database) => {
        await setForAll(database, 'default_transaction_isolation', 'serializable')
        return database.url
      },
    })
    await world.startWorker()
  })
  afterAll(() => world.stop())

  test('50 concurrent sends by several processes all succeed without a conflict', async () => {
    const senders = await Promise.all(Array.from({ length: 5 }, () => openSender(world.openRuntime())))
    const sent = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        senders[i % 5]?.send({ userId: i, to: `+120655501${String(i).padStart(2, '0')}`, body: 'Hello' }),
      ),
    )
    await Promise.all(senders.map((sender) => sender.close()))
    expect(sent.map((result) => result?.status)).toEqual(Array(50).fill('accepted'))
    expect(world.log.filter(({ level }) => level === 'error')).toEqual([])
  })
})

interface Settings {
  readonly isolation: string
  readonly commit: string
}

const readSettings = async (db: Db): Promise<Settings | undefined> => {
  const { rows } = await db.executeSql<Settings>(
    `select current_setting('transaction_isolation') as "isolation", current_setting('synchronous_commit') as "commit"`,
  )
  return rows[0]
}

describe.each([
  ['off', 'on'],
  ['local', 'on'],
  ['remote_write', 'on'],
  ['on', 'on'],
  ['remote_apply', 'remote_apply'],
])('with synchronous_commit = %s set on the database, ours', (theirs, ours) => {
  let own: TestDatabase
  let database: Database
  beforeAll(async () => {
    own = await createTestDatabase()
    await setForAll(own, 'synchronous_commit', theirs)
    await setForAll(own, 'default_transaction_isolation', 'repeatable read')
    database = open(own, 1)
  })
  afterAll(async () => {
    await database.close()
    await own.drop()
  })

  const expected = { isolation: 'read committed', commit: ours }

  test(`is ${ours} in a transaction`, async () => {
    expect(await database.transaction(readSettings)).toEqual(expected)
    expect(
      await database.confirmedTransaction(readSettings, { name: 'read', isWritten: async () => true }),
    ).toEqual(expected)
  })

  test(`is ${ours} for a single statement`, async () => {
    expect(await readSettings(database)).toEqual(expected)
  })

  test(`is ${ours} in a transaction on a pooler's connection without our session settings`, async () => {
    await database.executeSql('reset all')
    expect(await readSettings(database)).toEqual({ isolation: 'repeatable read', commit: theirs })
    expect(await database.transaction(readSettings)).toEqual(expected)
    // The pooler's other clients do not inherit ours.
    expect(await readSettings(database)).toEqual({ isolation: 'repeatable read', commit: theirs })
  })
})
