// The sender: one message per idempotency key, enqueue() in the app's own transaction, and close(). send() itself is
// tested in test/messages/send-message.test.ts.
import { describe, expect, jest, test } from '@jest/globals'
import { IdempotencyKeyReusedError, InvalidMessageError } from '../../src/shared/errors.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { openSender } from '../../src/processes/sender.ts'
import { createFakeSender } from '../../src/testing.ts'
import { accept } from '../support/fake-twilio.ts'
import { waitFor } from '../support/wait-for.ts'
import { DEFAULT_POOL } from '../support/world.ts'
import {
  appClient,
  closeLater,
  connectionCount,
  jobCount,
  message,
  newWorld,
  newWorldWith,
  rowOf,
  rowsOf,
} from '../support/world-with.ts'

describe('idempotencyKey', () => {
  test('sending again with it returns the same row and submits nothing', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const first = await world.sender.send(message({ idempotencyKey: 'order-1' }))
    const again = await world.sender.send(message({ idempotencyKey: 'order-1' }))
    expect(again).toEqual(first)
    expect(twilio.posts).toHaveLength(1)
    expect(await rowsOf(world)).toHaveLength(1)
  })

  test('ten concurrent sends with it are one row and one submission', async () => {
    const { world, twilio } = await newWorldWith(accept, DEFAULT_POOL)
    const results = await Promise.all(
      Array.from({ length: 10 }, () => world.sender.send(message({ idempotencyKey: 'order-1' }))),
    )
    expect(new Set(results.map(({ id }) => id)).size).toBe(1)
    expect(twilio.posts).toHaveLength(1)
  })

  test('sending again with it does not retry a failure', async () => {
    const world = await newWorld()
    const failed = message({ to: '+15552161001', idempotencyKey: 'order-1' })
    const first = await world.sender.send(failed)
    expect(await world.sender.send(failed)).toEqual(first)
    expect(world.simulator.messages()).toHaveLength(1)
  })

  test.each([
    ['recipient', { to: '+12065550188' }],
    ['text', { body: 'Something else' }],
    ['user', { userId: 8 }],
  ])('with another %s throws, and nothing is written', async (_what, change) => {
    const { world, twilio } = await newWorldWith(accept)
    await world.sender.send(message({ idempotencyKey: 'order-1' }))
    const before = await rowsOf(world)
    const client = await appClient(world)
    for (const attempt of [
      world.sender.send(message({ idempotencyKey: 'order-1', ...change })),
      world.sender.enqueue(message({ idempotencyKey: 'order-1', ...change }), { db: client }),
    ]) {
      const error = await attempt.catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(IdempotencyKeyReusedError)
      expect(error).toBeInstanceOf(InvalidMessageError)
      expect(error).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' })
    }
    expect(await rowsOf(world)).toEqual(before)
    expect(await jobCount(world)).toBe(0)
    expect(twilio.posts).toHaveLength(1)
  })
})

describe('enqueue', () => {
  test('leaves no row and no job after a rollback', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    await client.query('begin')
    const { created } = await world.sender.enqueue(message(), { db: client })
    expect(created).toBe(true)
    await client.query('rollback')
    expect(await rowsOf(world)).toEqual([])
    expect(await jobCount(world)).toBe(0)
  })

  test('is invisible before the commit, and sent once after it', async () => {
    const world = await newWorld()
    await world.startWorker()
    const client = await appClient(world)
    await client.query('begin')
    const { id } = await world.sender.enqueue(message(), { db: client })
    expect(await rowsOf(world)).toEqual([])
    expect(await jobCount(world)).toBe(0)
    await client.query('commit')
    expect(await rowOf(world, id)).toMatchObject({ phone_number: '+12065550199' })
    await waitFor('the delivery', async () => (await rowOf(world, id)).final_status === 'delivered')
    expect(world.simulator.messages()).toHaveLength(1)
  })

  test('accepts an adapter with executeSql, and joins its transaction', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    const statements: string[] = []
    const adapter = {
      async executeSql(text: string, values?: unknown[]) {
        statements.push(text)
        return client.query(text, values)
      },
    }
    await client.query('begin')
    await world.sender.enqueue(message(), { db: adapter })
    await client.query('rollback')
    expect(await rowsOf(world)).toEqual([])
    expect(await jobCount(world)).toBe(0)

    await client.query('begin')
    const { id } = await world.sender.enqueue(message(), { db: adapter })
    await client.query('commit')
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending', success: true })
    expect(await jobCount(world)).toBe(1)
    // Knex and others treat `?` as a placeholder.
    expect(statements.filter((text) => text.includes('?'))).toEqual([])
  })

  test('with the same key twice in one transaction adds one row and one job', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    await client.query('begin')
    const keyed = message({ idempotencyKey: 'order-1' })
    const first = await world.sender.enqueue(keyed, { db: client })
    const again = await world.sender.enqueue(keyed, { db: client })
    await client.query('commit')
    expect(again).toEqual({ id: first.id, created: false })
    expect(await rowsOf(world)).toHaveLength(1)
    expect(await jobCount(world)).toBe(1)
  })

  test('with the same key in two transactions waits, and finds the row of the first', async () => {
    const world = await newWorld()
    const [one, two] = [await appClient(world), await appClient(world)]
    const keyed = message({ idempotencyKey: 'order-1' })
    await one.query('begin')
    await two.query('begin')
    const first = await world.sender.enqueue(keyed, { db: one })
    const second = world.sender.enqueue(keyed, { db: two })
    await waitFor('the second to wait', async () => {
      const waiting = await world.database.query(
        `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      )
      return waiting.length > 0
    })
    await one.query('commit')
    expect(await second).toEqual({ id: first.id, created: false })
    await two.query('commit')
    expect(await rowsOf(world)).toHaveLength(1)
    expect(await jobCount(world)).toBe(1)
  })

  test('send() with the key of an enqueued message returns it and submits nothing', async () => {
    const world = await newWorld()
    const keyed = message({ idempotencyKey: 'order-1' })
    const { id } = await world.sender.enqueue(keyed, { db: await appClient(world) })
    expect(await world.sender.send(keyed)).toEqual({
      id,
      status: 'retry_scheduled',
      nextRetryAt: (await world.sender.get({ id }))?.createdAt,
    })
    expect(world.simulator.messages()).toEqual([])
  })
})

test('close() waits for running sends and records their answers', async () => {
  let idleConnections = 0
  const { world } = await newWorldWith(async (response, post) => {
    // By then, a sender that does not wait would have closed its connections.
    await waitFor('the end', async () => (await connectionCount(world)) <= idleConnections, 2_000).catch(
      () => undefined,
    )
    accept(response, post)
  })
  idleConnections = await connectionCount(world)
  const sender = await openSender(world.openRuntime())
  const sending = sender.send(message())
  await sender.close()
  expect(await sending).toMatchObject({ status: 'accepted' })
})

test('send() after close() records and submits nothing', async () => {
  const { world } = await newWorldWith(accept)
  const sender = await openSender(world.openRuntime())
  // Keeps close() busy: its answer comes later.
  const sending = sender.send(message())
  const closing = sender.close()
  await expect(sender.send(message())).rejects.toMatchObject({
    code: 'DATABASE',
    written: 'no',
    message: expect.stringContaining('the sender is closed'),
  })
  await closing
  expect(await sending).toMatchObject({ status: 'accepted' })
  expect(await rowsOf(world)).toHaveLength(1)
})

test('if a trigger redirects new rows, nothing is sent now or later', async () => {
  const world = await newWorld()
  const client = await appClient(world)
  await client.query(`
    create table sms_usage_logs_2026 () inherits (sms_usage_logs);
    create function put_elsewhere() returns trigger language plpgsql as
      $$ begin insert into sms_usage_logs_2026 select new.*; return null; end $$;
    create trigger put_elsewhere before insert on sms_usage_logs for each row execute function put_elsewhere()`)
  const refused = {
    name: 'RefusedRowError',
    code: 'REFUSED_ROW',
    message: expect.stringContaining('trigger'),
  }
  await expect(world.sender.send(message())).rejects.toMatchObject(refused)
  await client.query('begin')
  await expect(world.sender.enqueue(message(), { db: client })).rejects.toMatchObject(refused)
  await client.query('rollback')
  expect(await rowsOf(world)).toEqual([])
  expect(await jobCount(world)).toBe(0)
})

test.each<[what: string, options: object | undefined]>([
  ['no options', undefined],
  ['no transaction', {}],
  ['null', { db: null }],
  ['an object that runs no statements', { db: {} }],
])('enqueue(), enqueueMany() and cancel() with %s return a promise', async (_what, options) => {
  const world = await newWorld()
  const fake = createFakeSender()
  const given = options as never
  for (const sender of [world.sender, fake]) {
    await expect(sender.enqueue(message(), given)).rejects.toThrow(TypeError)
    await expect(sender.enqueueMany([message()], given)).rejects.toThrow(TypeError)
    const canceling = sender.cancel({ id: 1 }, given)
    if (options !== undefined && 'db' in options)
      await expect(canceling).rejects.toThrow('db must be a pg client or an adapter with executeSql')
    else expect(await canceling).toEqual({ canceled: false, status: null })
  }
  expect(await rowsOf(world)).toEqual([])
})

test('a logger that fails does not change the result of send()', async () => {
  const world = await newWorld()
  const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  const fail = (): never => {
    throw new Error('The disk is full')
  }
  const failLater = async (): Promise<void> => fail()
  const logger = { error: fail, warn: fail, info: failLater, debug: fail }
  const sender = await openSender(openRuntime({ logger }, world.env, ['DATABASE_URL']))
  closeLater(() => sender.close())
  expect(await sender.send(message())).toMatchObject({ status: 'accepted' })
  const later = { sendAfter: new Date(Date.now() + 3_600_000) }
  expect(await sender.send(message(later))).toMatchObject({ status: 'retry_scheduled' })
  expect(warn.mock.calls).toEqual([
    ["The app's logger failed, so lines of sms-retry are lost: The disk is full"],
  ])
  warn.mockRestore()
})
