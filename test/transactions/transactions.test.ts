// enqueue() inside the app's own transaction, as pg and each ORM opens it. The shops are the code that
// docs/transactions.md shows; a test holds the two together.
import { describe, expect, test } from '@jest/globals'
import { readdir, readFile } from 'node:fs/promises'
import { InvalidMessageError } from '../../src/shared/errors.ts'
import { waitFor } from '../support/wait-for.ts'
import type { World } from '../support/world.ts'
import { appClient, closeLater, jobCount, newWorld, rowsOf } from '../support/world-with.ts'
import { confirmationOf, createShopTables, type OpenShop, type Order, type Shop } from './order.ts'
import { openShop as withDrizzle } from './with-drizzle.ts'
import { openShop as withKnex } from './with-knex.ts'
import { openShop as withKysely } from './with-kysely.ts'
import { openShop as withPg } from './with-pg.ts'

const ORDER: Order = { number: 1001, userId: 7, phone: '+12065550199' }

async function openShopWith(open: OpenShop, booksLeft: number): Promise<{ world: World; shop: Shop }> {
  const world = await newWorld()
  await createShopTables(world.database, booksLeft)
  const shop = open(world.database.url, world.sender)
  closeLater(() => shop.close())
  return { world, shop }
}

const orderCount = async ({ database }: World): Promise<number> =>
  (await database.query('select 1 from shop_order')).length

describe.each<[string, OpenShop]>([
  ['pg', withPg],
  ['Knex', withKnex],
  ['Kysely', withKysely],
  ['Drizzle', withDrizzle],
])('in a transaction of %s', (_name, open) => {
  test('committed, the message is sent once', async () => {
    const { world, shop } = await openShopWith(open, 1)
    await world.startWorker()
    await shop.placeOrder(ORDER)
    expect(await orderCount(world)).toBe(1)
    await waitFor('the delivery', async () => (await rowsOf(world))[0]?.final_status === 'delivered')
    expect(world.simulator.messages()).toMatchObject([{ to: ORDER.phone, body: 'Thank you for order 1001' }])
  })

  test('rolled back by what fails after enqueue, order, row and job never were, and nothing is sent', async () => {
    const { world, shop } = await openShopWith(open, 0)
    await expect(shop.placeOrder(ORDER)).rejects.toThrow()
    expect(await orderCount(world)).toBe(0)
    expect(await rowsOf(world)).toEqual([])
    expect(await jobCount(world)).toBe(0)

    // The worker comes to the second order, and has nothing to do for the first.
    await world.database.query('update stock set books = 1')
    await world.startWorker()
    await shop.placeOrder({ ...ORDER, number: 1002 })
    await waitFor('the delivery', async () => (await rowsOf(world))[0]?.final_status === 'delivered')
    expect(world.simulator.messages()).toMatchObject([{ body: 'Thank you for order 1002' }])
  })

  test('in a session of another time zone and date style, the row has the time of its insertion, and the job is due', async () => {
    const world = await newWorld()
    await createShopTables(world.database, 1)
    await world.database.query(
      'alter table sms_usage_logs alter column created_at drop default, alter column created_at type timestamptz',
    )
    const name = new URL(world.database.url).pathname.slice(1)
    for (const setting of ["timezone = 'America/New_York'", "datestyle = 'SQL, DMY'"])
      await world.database.query(`alter database ${name} set ${setting}`)
    const shop = open(world.database.url, world.sender)
    closeLater(() => shop.close())
    await shop.placeOrder(ORDER)
    const rows = await world.database.query(
      `select abs(extract(epoch from clock_timestamp() - created_at)) < 1200 as "isOfNow" from sms_usage_logs`,
    )
    const jobs = await world.database.query(
      `select start_after <= clock_timestamp() as "isDue" from sms_retry_pgboss.job where name = 'attempt'`,
    )
    expect({ rows, jobs }).toEqual({ rows: [{ isOfNow: true }], jobs: [{ isDue: true }] })
  })

  test('the same idempotency key in a later transaction adds nothing; with another message it throws', async () => {
    const { world, shop } = await openShopWith(open, 3)
    await shop.placeOrder(ORDER)
    await shop.placeOrder(ORDER)
    await expect(shop.placeOrder({ ...ORDER, phone: '+12065550188' })).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    })
    expect(await orderCount(world)).toBe(2)
    expect(await rowsOf(world)).toHaveLength(1)
    expect(await jobCount(world)).toBe(1)
  })
})

test('after a message that enqueue refuses, the transaction can go on', async () => {
  const world = await newWorld()
  await createShopTables(world.database, 1)
  const client = await appClient(world)
  await world.sender.enqueue(confirmationOf(ORDER), { db: client })
  await client.query('begin')
  for (const refused of [{ to: 'nobody' }, { body: 'Something else' }]) {
    const enqueuing = world.sender.enqueue({ ...confirmationOf(ORDER), ...refused }, { db: client })
    await expect(enqueuing).rejects.toBeInstanceOf(InvalidMessageError)
  }
  await client.query('insert into shop_order (number, user_id) values (1001, 7)')
  await client.query('commit')
  expect(await orderCount(world)).toBe(1)
  expect(await rowsOf(world)).toHaveLength(1)
})

test('docs/transactions.md shows this code', async () => {
  const page = await readFile(new URL('../../docs/transactions.md', import.meta.url), 'utf8')
  const names = (await readdir(import.meta.dirname)).filter((name) => /^(order|with-.*)\.ts$/.test(name))
  const sources = await Promise.all(
    names.map(async (name) => withoutSpace(await readFile(new URL(name, import.meta.url), 'utf8'))),
  )
  const blocks = [...page.matchAll(/```ts\n(.*?)```/gs)]
    .map(([, code = '']) => code)
    // The page says of it that no test runs it.
    .filter((code) => !code.includes('fromPrisma'))
  const parts = blocks.flatMap((code) => code.split(/\n\n|\n(?=import )/))
  expect(blocks).toHaveLength(names.length)
  expect(parts.filter((part) => !sources.some((source) => source.includes(withoutSpace(part))))).toEqual([])
})

/** Indented otherwise, code is the same. */
function withoutSpace(code: string): string {
  return code.replace(/\s+/g, '')
}
