// The code under test: confirms an order by text message.
import type { Sender } from 'sms-retry'

export interface Order {
  readonly number: number
  readonly userId: number
  readonly phone: string
}

/** Tells the caller if the customer will not get the message. */
export async function confirmOrder(
  sender: Pick<Sender, 'send'>,
  order: Order,
): Promise<'confirmed' | 'not reachable'> {
  const { status } = await sender.send({
    userId: order.userId,
    to: order.phone,
    body: `Thank you for order ${order.number}`,
    idempotencyKey: `order-${order.number}`,
  })
  return status === 'failed' ? 'not reachable' : 'confirmed'
}
