import pg from 'pg'
import { confirmationOf, type OpenShop } from './order.ts'

export const openShop: OpenShop = (databaseUrl, sender) => {
  const pool = new pg.Pool({ connectionString: databaseUrl })
  return {
    async placeOrder(order) {
      const client = await pool.connect()
      try {
        await client.query('begin')
        await client.query('insert into shop_order (number, user_id) values ($1, $2)', [
          order.number,
          order.userId,
        ])
        await sender.enqueue(confirmationOf(order), { db: client })
        await client.query('update stock set books = books - 1')
        await client.query('commit')
      } catch (error) {
        await client.query('rollback')
        throw error
      } finally {
        client.release()
      }
    },
    close: () => pool.end(),
  }
}
