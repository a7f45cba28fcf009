import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { fromKysely } from 'pg-boss'
import { confirmationOf, type OpenShop } from './order.ts'

interface Tables {
  shop_order: { number: number; user_id: number }
  stock: { books: number }
}

export const openShop: OpenShop = (databaseUrl, sender) => {
  const pool = new pg.Pool({ connectionString: databaseUrl })
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  return {
    async placeOrder(order) {
      await db.transaction().execute(async (trx) => {
        await trx.insertInto('shop_order').values({ number: order.number, user_id: order.userId }).execute()
        await sender.enqueue(confirmationOf(order), { db: fromKysely(trx) })
        await trx
          .updateTable('stock')
          .set((stock) => ({ books: stock('books', '-', 1) }))
          .execute()
      })
    },
    close: () => db.destroy(),
  }
}
