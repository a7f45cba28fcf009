// Tests that an attempt keeps its segments from Twilio's answer, and its price from a lookup.
import { expect, test } from '@jest/globals'
import { reconcile } from '../../src/messages/reconcile.ts'
import { newProcess, newTimedWorld } from '../support/timed-world.ts'
import { message, rowOf } from '../support/world-with.ts'

const TWO_SEGMENTS = 'x'.repeat(200)

test('the segments come with the answer, and the price when the attempt is looked up', async () => {
  const world = await newTimedWorld({ chaos: { dropCallbacks: 1 } })
  const deps = await newProcess(world)
  const { id } = await world.sender.send(message({ body: TWO_SEGMENTS }))
  await world.simulator.idle()
  const sent = await world.sender.get({ id })
  expect(sent?.attempts).toMatchObject([{ segments: 2, price: null }])
  await world.pass(300)
  await reconcile(deps)
  const found = await world.sender.get({ id })
  expect(found?.attempts).toMatchObject([
    { status: 'delivered', segments: 2, price: { amount: 0.0166, unit: 'USD' } },
  ])
  const { sms_metadata: metadata } = await rowOf(world, id)
  expect(metadata).toMatchObject({ attempts: [{ segments: 2, price: 0.0166, price_unit: 'USD' }] })
})
