// What the shops of docs/transactions.md have in common, so that each file beside this one is the code that the page
// shows and nothing else.
import type { MessageInput } from '../../src/messages/message-input.ts'
import type { Sender } from '../../src/processes/sender.ts'
import type { TestDatabase } from '../support/database.ts'

export interface Order {
  readonly number: number
  readonly userId: number
  readonly phone: string
}

export function confirmationOf(order: Order): MessageInput {
  return {
    userId: order.userId,
    to: order.phone,
    body: `Thank you for order ${order.number}`,
    idempotencyKey: `order-${order.number}`,
  }
}

/** Places the order in one transaction: throws if there is no book left, and then nothing has happened. */
export type PlaceOrder = (order: Order) => Promise<void>

export interface Shop {
  readonly placeOrder: PlaceOrder
  close(): Promise<void>
}

export type OpenShop = (databaseUrl: string, sender: Sender) => Shop

/** That there is a book left is checked last, after the message was enqueued: the check is what fails then. */
export async function createShopTables({ query }: TestDatabase, booksLeft: number): Promise<void> {
  await query('create table shop_order (number integer not null, user_id integer not null)')
  await query('create table stock (books integer not null constraint no_book_left check (books >= 0))')
  await query('insert into stock values ($1)', [booksLeft])
}
