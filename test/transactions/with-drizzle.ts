import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { fromDrizzle } from 'pg-boss'
import { confirmationOf, type OpenShop } from './order.ts'

const shopOrder = pgTable('shop_order', { number: integer(), userId: integer('user_id') })
const stock = pgTable('stock', { books: integer() })

export const openShop: OpenShop = (databaseUrl, sender) => {
  const pool = new pg.Pool({ connectionString: databaseUrl })
  const db = drizzle(pool)
  return {
    async placeOrder(order) {
      await db.transaction(async (tx) => {
        await tx.insert(shopOrder).values({ number: order.number, userId: order.userId })
        await sender.enqueue(confirmationOf(order), { db: fromDrizzle(tx, sql) })
        await tx.update(stock).set({ books: sql`${stock.books} - 1` })
      })
    },
    close: () => pool.end(),
  }
}
