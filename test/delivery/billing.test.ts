// Tests what is known of an attempt's segments and price after Twilio's statements, in any order.
import { expect, test } from '@jest/globals'
import { type Billing, withBilling } from '../../src/delivery/billing.ts'
import { visitOrders } from './permutations.ts'

const UNKNOWN: Billing = { segments: null, price: null }

test('what Twilio states later is added, and nothing known is lost', () => {
  const price = { amount: 0.0166, unit: 'USD' }
  const answered = withBilling(UNKNOWN, { segments: 2, price: null })
  expect(answered).toEqual({ segments: 2, price: null })
  const fetched = withBilling(answered, { segments: null, price })
  expect(fetched).toEqual({ segments: 2, price })
  expect(withBilling(fetched, UNKNOWN)).toBe(fetched)
  expect(withBilling(fetched, undefined)).toBe(fetched)
})

test('a statement that is repeated gives the same object, so that it changes no row', () => {
  const known = withBilling(UNKNOWN, { segments: 2, price: { amount: 0.0166, unit: 'USD' } })
  expect(withBilling(known, { segments: 2, price: { amount: 0.0166, unit: 'USD' } })).toBe(known)
})

test('different statements give the same result in any order: the higher figure', () => {
  const statements: Billing[] = [
    { segments: 1, price: null },
    { segments: 3, price: { amount: 0.0249, unit: 'USD' } },
    { segments: 2, price: { amount: 0, unit: 'USD' } },
  ]
  visitOrders(UNKNOWN, statements, withBilling, (end) => expect(end).toEqual(statements[1]))
})
