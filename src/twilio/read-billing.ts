// Reads what Twilio bills from a Message resource. It states the numbers as texts, and a price as a negative one.
// Source: https://www.twilio.com/docs/messaging/api/message-resource#message-properties
import type { Billing, Price } from '../delivery/billing.ts'

/** @param unit the currency, in either case */
export function readBilling(segments: unknown, price: unknown, unit: unknown): Billing {
  return { segments: readSegments(segments), price: readPrice(price, unit) }
}

/** Above any text that Twilio accepts. */
const MAX_SEGMENTS = 1_000

/** A message of a Messaging Service has 0 until Twilio has chosen its sender. */
function readSegments(value: unknown): number | null {
  const segments = Number(value)
  return Number.isInteger(segments) && segments > 0 && segments <= MAX_SEGMENTS ? segments : null
}

/** Null until Twilio has billed the message. */
function readPrice(value: unknown, unit: unknown): Price | null {
  if (typeof value !== 'string' || value.trim() === '' || typeof unit !== 'string') return null
  const amount = Math.abs(Number(value))
  return Number.isFinite(amount) && /^[A-Z]{3}$/i.test(unit) ? { amount, unit: unit.toUpperCase() } : null
}
