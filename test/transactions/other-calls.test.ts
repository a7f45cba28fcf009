// enqueueMany() and cancel() inside the transaction of pg and of each ORM. transactions.test.ts has enqueue().
import { describe, expect, test } from '@jest/globals'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import knex from 'knex'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { fromDrizzle, fromKnex, fromKysely } from 'pg-boss'
import type { CallerTransaction } from '../../src/postgres/pool.ts'
import { waitFor } from '../support/wait-for.ts'
import type { World } from '../support/world.ts'
import { appClient, closeLater, jobCount, message, newWorld, rowOf, rowsOf } from '../support/world-with.ts'

/** Commits, or rolls back if `work` throws. */
type InTransaction = (work: (db: CallerTransaction) => Promise<void>) => Promise<void>

const withPg = (databaseUrl: string): InTransaction => {
  const pool = openPool(databaseUrl)
  return async (work) => {
    const client = await pool.connect()
    try {
      await client.query('begin')
      await work(client)
      await client.query('commit')
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }
}

const withKnex = (databaseUrl: string): InTransaction => {
  const db = knex({ client: 'pg', connection: databaseUrl })
  closeLater(() => db.destroy())
  return (work) => db.transaction((trx) => work(fromKnex(trx)))
}

const withKysely = (databaseUrl: string): InTransaction => {
  const db = new Kysely({ dialect: new PostgresDialect({ pool: openPool(databaseUrl) }) })
  return (work) => db.transaction().execute((trx) => work(fromKysely(trx)))
}

const withDrizzle = (databaseUrl: string): InTransaction => {
  const db = drizzle(openPool(databaseUrl))
  return (work) => db.transaction((tx) => work(fromDrizzle(tx, sql)))
}

function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString })
  closeLater(() => pool.end())
  return pool
}

const rolledBack = new Error('rolled back')

describe.each<[string, (databaseUrl: string) => InTransaction]>([
  ['pg', withPg],
  ['Knex', withKnex],
  ['Kysely', withKysely],
  ['Drizzle', withDrizzle],
])('in a transaction of %s', (_name, open) => {
  async function start(): Promise<{ world: World; transaction: InTransaction }> {
    const world = await newWorld()
    return { world, transaction: open(world.database.url) }
  }

  test('enqueueMany() adds its messages with the commit, and nothing after a rollback', async () => {
    const { world, transaction } = await start()
    const inputs = [
      message({ body: 'Is it 8? Yes: $1', metadata: { ask: '?' }, idempotencyKey: 'a?' }),
      message({ idempotencyKey: "b'" }),
      message({ idempotencyKey: 'a?', body: 'Is it 8? Yes: $1' }),
      message(),
    ]
    const abandoned = transaction(async (db) => {
      await world.sender.enqueueMany(inputs, { db })
      throw rolledBack
    })
    await expect(abandoned).rejects.toBe(rolledBack)
    expect([await rowsOf(world), await jobCount(world)]).toEqual([[], 0])

    let created: boolean[] = []
    await transaction(async (db) => {
      created = (await world.sender.enqueueMany(inputs, { db })).map((result) => result.created)
    })
    expect(created).toEqual([true, true, false, true])
    await world.startWorker()
    await waitFor('the deliveries', async () =>
      (await rowsOf(world)).every(({ final_status }) => final_status === 'delivered'),
    )
    expect(world.simulator.messages()).toHaveLength(3)
  })

  test('cancel() cancels with the commit, and not after a rollback', async () => {
    const { world, transaction } = await start()
    const client = await appClient(world)
    const metadata = { order: 1001, list: [1, null] }
    const { id } = await world.sender.enqueue(message({ metadata, idempotencyKey: 'a' }), { db: client })
    const before = await world.sender.get({ id })
    const cancel = (db: CallerTransaction): ReturnType<World['sender']['cancel']> =>
      world.sender.cancel({ idempotencyKey: 'a' }, { db, reason: 'Order withdrawn' })
    const abandoned = transaction(async (db) => {
      expect(await cancel(db)).toEqual({ canceled: true, status: 'canceled' })
      throw rolledBack
    })
    await expect(abandoned).rejects.toBe(rolledBack)
    expect([await world.sender.get({ id }), await jobCount(world)]).toEqual([before, 1])

    await transaction(async (db) => {
      expect(await cancel(db)).toEqual({ canceled: true, status: 'canceled' })
    })
    expect(await world.sender.get({ id })).toMatchObject({
      status: 'canceled',
      reason: 'Order withdrawn',
      createdAt: before?.createdAt,
      metadata,
    })
    expect(await jobCount(world)).toBe(0)
  })

  test('the error of the driver passes through cancel() and enqueueMany()', async () => {
    const { world, transaction } = await start()
    const { id } = await world.sender.enqueue(message(), { db: await appClient(world) })
    await world.database.query(
      'alter table sms_usage_logs add constraint "no long texts" check (message_length < 5) not valid',
    )
    const before = await rowOf(world, id)
    for (const call of [
      (db: CallerTransaction) => world.sender.cancel({ id }, { db }),
      (db: CallerTransaction) => world.sender.enqueueMany([message()], { db }),
    ]) {
      const error = await transaction(async (db) => void (await call(db))).catch((thrown: Error) => thrown)
      const driverError = error instanceof Error && error.cause instanceof Error ? error.cause : error
      expect(driverError).toMatchObject({ code: '23514', constraint: 'no long texts' })
    }
    expect(await rowOf(world, id)).toEqual(before)
    expect(await jobCount(world)).toBe(1)
  })
})
