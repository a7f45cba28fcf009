import knex from 'knex'
import { fromKnex } from 'pg-boss'
import { confirmationOf, type OpenShop } from './order.ts'

export const openShop: OpenShop = (databaseUrl, sender) => {
  const db = knex({ client: 'pg', connection: databaseUrl })
  return {
    async placeOrder(order) {
      await db.transaction(async (trx) => {
        await trx('shop_order').insert({ number: order.number, user_id: order.userId })
        await sender.enqueue(confirmationOf(order), { db: fromKnex(trx) })
        await trx('stock').decrement('books', 1)
      })
    },
    close: () => db.destroy(),
  }
}
