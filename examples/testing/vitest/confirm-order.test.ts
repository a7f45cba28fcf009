import { afterEach, expect, test } from 'vitest'
import { createFakeSender } from 'sms-retry/testing'
import { confirmOrder } from '../confirm-order.ts'

const sender = createFakeSender()
afterEach(() => sender.reset())

const order = { number: 1001, userId: 7, phone: '+12065550199' }

test('an order is confirmed once', async () => {
  expect(await confirmOrder(sender, order)).toBe('confirmed')
  expect(await confirmOrder(sender, order)).toBe('confirmed')
  expect(sender.messages).toMatchObject([{ to: '+12065550199', body: 'Thank you for order 1001' }])
})

test('a customer who has opted out is not reachable', async () => {
  sender.script({ to: order.phone, result: { status: 'failed', errorCode: 21610 } })
  expect(await confirmOrder(sender, order)).toBe('not reachable')
})
