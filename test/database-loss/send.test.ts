// send() at each moment at which the database can be lost: what was not submitted is said to be so, and what may
// have been submitted is found out, never sent twice.
import { beforeEach, describe, expect, test } from '@jest/globals'
import { DatabaseError } from '../../src/shared/errors.ts'
import type { Sender } from '../../src/processes/sender.ts'
import { waitFor } from '../support/wait-for.ts'
import type { World } from '../support/world.ts'
import { message, newWorld, rowOf, rowsOf } from '../support/world-with.ts'
import { expectSubmissions, type Lossy, linesWith, lossy } from './lossy-world.ts'

const NOT_RECORDED =
  /^Nothing was submitted, and the message was not recorded: send it again\. The database failed/
const UNKNOWN =
  /^Nothing was submitted, but it is not known whether the message was recorded\..*with the same idempotencyKey.*The database failed/

let world: World
let lossyWorld: Lossy
let sender: Sender

beforeEach(async () => {
  world = await newWorld()
  lossyWorld = await lossy(world)
  sender = await lossyWorld.openSender()
})

const BODY = 'Your order has shipped'

async function expectFailure(sending: Promise<unknown>, text: RegExp, written: string): Promise<void> {
  const failure = await sending.catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(DatabaseError)
  expect(failure).toMatchObject({ code: 'DATABASE', message: expect.stringMatching(text), written })
}

describe('the database is lost before the message is recorded: an error says so, and it can be sent again', () => {
  test.each(['away', 'silent'] as const)('it is %s', async (state) => {
    await lossyWorld.proxy.set(state)
    await expectFailure(sender.send(message()), NOT_RECORDED, 'no')
    await lossyWorld.proxy.set('there')
    await expectNothingAndSendAgain()
  })

  test.each([
    'begin',
    'insert into sms_usage_logs',
    'pg_advisory_xact_lock',
    'commit',
  ])('the connection is cut at "%s"', async (text) => {
    const lost = lossyWorld.proxy.loseAt(text, 'never')
    await expectFailure(sender.send(message()), NOT_RECORDED, 'no')
    await lost
    await expectNothingAndSendAgain()
  })

  test('the connection is cut when the row of a known idempotency key is read', async () => {
    const keyed = message({ idempotencyKey: 'order-7-shipped' })
    const first = await sender.send(keyed)
    const lost = lossyWorld.proxy.loseAt(`where sms_metadata ->> 'idempotency_key' = $1`, 'never')
    await expectFailure(sender.send(keyed), /^Nothing was submitted/, 'no')
    await lost
    expect(await sender.send(keyed)).toMatchObject({ id: first.id, status: 'accepted' })
    expectSubmissions(world, { [BODY]: 1 })
  })

  async function expectNothingAndSendAgain(): Promise<void> {
    expect(await rowsOf(world)).toEqual([])
    expectSubmissions(world, {})
    expect(await sender.send(message())).toMatchObject({ status: 'accepted' })
    expectSubmissions(world, { [BODY]: 1 })
    expect(await rowsOf(world)).toHaveLength(1)
  }
})

describe('the message is recorded, and the answer to that is lost', () => {
  test.each([
    'cut',
    'silence',
  ] as const)('by %s, with the database back: it is sent after all, once', async (how) => {
    const lost = lossyWorld.proxy.loseAt('commit', 'unanswered', how)
    const result = await sender.send(message())
    await lost
    // Silence lasts longer than a claim is good for: then nothing is submitted, and the worker does it.
    expect(result.status).toBe(how === 'cut' ? 'accepted' : 'retry_scheduled')
    if (how === 'silence') await world.startWorker()
    await waitFor('delivery', async () => (await rowOf(world, result.id)).final_status === 'delivered')
    expect(await rowsOf(world)).toHaveLength(1)
    expectSubmissions(world, { [BODY]: 1 })
  })

  test('and its row has moved on before it is looked up: nobody is told to send it again', async () => {
    const lost = lossyWorld.proxy.loseAt('commit', 'unanswered', 'away')
    const sending = sender.send(message())
    await lost
    await waitFor('the row', async () => (await rowsOf(world)).length === 1)
    // As a worker leaves it that has looked for the attempt at Twilio, while this process could not reach the database.
    await world.database.query(
      `update sms_usage_logs set final_status = 'pending', next_retry_at = now() at time zone 'UTC' + interval '1 hour'`,
    )
    await lossyWorld.proxy.set('there')
    expect(await sending).toMatchObject({ id: (await rowsOf(world))[0]?.id })
  })

  test('with the database away: it is said that this is not known, and the worker sends it once', async () => {
    const keyed = message({ idempotencyKey: 'order-7-shipped' })
    const lost = lossyWorld.proxy.loseAt('commit', 'unanswered', 'away')
    await expectFailure(sender.send(keyed), UNKNOWN, 'unknown')
    await lost
    expectSubmissions(world, {})
    await lossyWorld.proxy.set('there')
    const [row] = await rowsOf(world)
    expect(row).toMatchObject({ final_status: 'submitting', twilio_message_sid: null })

    expect(await sender.send(keyed)).toEqual({ id: row?.id, status: 'in_doubt' })
    expectSubmissions(world, {})
    await world.startWorker()
    await waitFor('delivery', async () => (await rowsOf(world))[0]?.final_status === 'delivered')
    expect(await rowsOf(world)).toHaveLength(1)
    expectSubmissions(world, { [BODY]: 1 })
  })
})

describe("the database is lost after the message is recorded, before Twilio's answer is", () => {
  test('for longer than it is tried: in doubt, and found at Twilio later, without a second request', async () => {
    // Nobody tells us but the list.
    world.simulator.setChaos({ dropCallbacks: 1, slow: 1 })
    const sending = sender.send(message())
    await waitFor('the request', () => world.simulator.openRequests() === 1)
    await lossyWorld.proxy.set('away')
    const result = await sending
    expect(result).toEqual({ id: expect.any(Number), status: 'in_doubt' })
    expect(linesWith(lossyWorld.log, 'Could not record the answer to an attempt')).toHaveLength(1)
    expect(await rowOf(world, result.id)).toMatchObject({
      final_status: 'submitting',
      twilio_message_sid: null,
    })

    await lossyWorld.proxy.set('there')
    await world.startWorker()
    await waitFor('delivery', async () => (await rowOf(world, result.id)).final_status === 'delivered')
    const [submitted] = world.simulator.messages()
    expect(await rowOf(world, result.id)).toMatchObject({
      twilio_message_sid: submitted?.sid,
      retry_count: 0,
    })
    expectSubmissions(world, { [BODY]: 1 })
    // The sender lives on.
    world.simulator.setChaos({ slow: 0 })
    expect(await sender.send(message({ body: 'And another' }))).toMatchObject({ status: 'accepted' })
  })
})
