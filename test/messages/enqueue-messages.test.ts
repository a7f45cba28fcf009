// sender.enqueueMany(): many messages in the transaction of the app, with the results of as many calls of enqueue().
import { describe, expect, test } from '@jest/globals'
import type { MessageInput } from '../../src/messages/message-input.ts'
import type { Db } from '../../src/postgres/pool.ts'
import { IdempotencyKeyReusedError, InvalidMessageError } from '../../src/shared/errors.ts'
import { waitFor } from '../support/wait-for.ts'
import { appClient, jobCount, message, newWorld, rowsOf } from '../support/world-with.ts'

const many = (count: number, change: (i: number) => Partial<MessageInput> = () => ({})): MessageInput[] =>
  Array.from({ length: count }, (_, i) => message({ body: `Hello ${i}`, ...change(i) }))

test('enqueueMany() adds each message with its job, and returns the ids in the order of the messages', async () => {
  const world = await newWorld()
  const client = await appClient(world)
  let statements = 0
  const counting: Db = {
    executeSql: (text, values) => {
      statements += 1
      return client.query(text, values)
    },
  }
  await client.query('begin')
  const results = await world.sender.enqueueMany(
    many(2_500, (i) => (i % 2 === 0 ? { idempotencyKey: `order-${i}` } : {})),
    { db: counting },
  )
  await client.query('commit')
  // Three chunks, each with its rows, its jobs, and a look at its keys: the first one has no keys.
  expect(statements).toBe(8)
  const rows = await world.database.query<{ id: number; body: string }>(
    'select id, message_content as "body" from sms_usage_logs',
  )
  const bodies = new Map(rows.map(({ id, body }) => [id, body]))
  expect(results.map(({ id }) => bodies.get(id))).toEqual(results.map((_, i) => `Hello ${i}`))
  expect(rows).toHaveLength(2_500)
  expect(results.every(({ created }) => created)).toBe(true)
  expect(await jobCount(world)).toBe(2_500)
})

test('enqueueMany() writes the same row and job as enqueue()', async () => {
  const world = await newWorld({ env: { RETRY_DELAY_SCALE: '1' } })
  const db = await appClient(world)
  const inputs: MessageInput[] = [
    message({ metadata: { order: 1, deep: { list: [1, 'ü', null] } }, validForSeconds: 600 }),
    message({ sendAfter: new Date(Date.now() + 3_600_000), sendWindow: 'any', timeZone: 'UTC' }),
    message({ sendAfter: new Date(Date.now() + 3_600_000), sendWindow: { from: '08:00', to: '21:00' } }),
  ]
  for (const input of inputs) await world.sender.enqueue(input, { db })
  await world.sender.enqueueMany(inputs, { db })
  const comparable = await world.database.query<{ row: object; job: object }>(
    `select to_jsonb(m) - '{id,created_at,sms_metadata,next_retry_at}'::text[]
              || (sms_metadata - '{callback_key,deadline,reconcile_at,attempts}'::text[])
              || jsonb_build_object('deadline', sms_metadata ? 'deadline', 'next', next_retry_at > now(),
                                    'attempt', sms_metadata #- '{attempts,0,times}' -> 'attempts') as "row",
            (select jsonb_build_object('state', state, 'later', start_after > now(), 'attempt', data -> 'attempt')
               from sms_retry_pgboss.job where (data ->> 'message')::int = m.id) as "job"
       from sms_usage_logs m order by id`,
  )
  expect(comparable.slice(3)).toEqual(comparable.slice(0, 3))
  expect(comparable[0]?.row).toMatchObject({ order: 1, deadline: true, final_status: 'pending' })
})

test('enqueueMany() of no messages adds nothing', async () => {
  const world = await newWorld()
  expect(await world.sender.enqueueMany([], { db: await appClient(world) })).toEqual([])
  expect(await rowsOf(world)).toEqual([])
})

test('enqueueMany() leaves no row and no job after a rollback, and is sent once after a commit', async () => {
  const world = await newWorld()
  const client = await appClient(world)
  for (const end of ['rollback', 'commit']) {
    await client.query('begin')
    await world.sender.enqueueMany(many(20), { db: client })
    expect(await rowsOf(world)).toEqual([])
    await client.query(end)
    expect(await jobCount(world)).toBe(end === 'commit' ? 20 : 0)
  }
  await world.startWorker()
  await waitFor('the deliveries', async () =>
    (await rowsOf(world)).every(({ final_status }) => final_status === 'delivered'),
  )
  expect(world.simulator.messages()).toHaveLength(20)
})

test('a message that no allow-list has is canceled in its row, and gets no job', async () => {
  const world = await newWorld({ env: { RECIPIENT_ALLOWLIST: '+12065550199' } })
  const db = await appClient(world)
  const results = await world.sender.enqueueMany(
    many(2, (i) => (i === 1 ? { to: '+12065550188' } : {})),
    { db },
  )
  expect(results.map(({ created }) => created)).toEqual([true, true])
  expect((await rowsOf(world)).map(({ final_status }) => final_status)).toEqual(['pending', 'canceled'])
  expect(await jobCount(world)).toBe(1)
})

describe('invalid messages', () => {
  test('are all named by their index, and nothing is written', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    const inputs = many(2_000, (i) =>
      i % 100 === 99 ? { to: 'nobody' } : i === 5 ? { userId: 1.5, body: '' } : {},
    )
    await client.query('begin')
    const error = await world.sender.enqueueMany(inputs, { db: client }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InvalidMessageError)
    const { indexes, message: text } = error as InvalidMessageError
    expect(indexes).toEqual([5, ...Array.from({ length: 20 }, (_, i) => i * 100 + 99)])
    expect(text).toMatch(
      /^21 of 2000 messages cannot be sent, and none was written\n\[5\] userId .*; body must not be empty\n/,
    )
    expect(text).toMatch(/\n\[899\] to must be a phone number.*\nand 11 more; see the property indexes$/)
    expect(text).not.toContain('nobody')
    // The transaction can continue.
    await world.sender.enqueueMany(many(1), { db: client })
    await client.query('commit')
    expect(await rowsOf(world)).toHaveLength(1)
  })
})

describe('a repeated idempotency key', () => {
  test('in one call adds one message, as in a loop of enqueue()', async () => {
    const world = await newWorld()
    const db = await appClient(world)
    const keyed = (i: number, key: string): MessageInput =>
      message({ body: `Hello ${i}`, idempotencyKey: key })
    const inputs = [keyed(0, 'a'), keyed(1, 'b'), keyed(0, 'a'), message(), keyed(1, 'b'), keyed(0, 'a')]
    const results = await world.sender.enqueueMany(inputs, { db })
    expect(results.map(({ created }) => created)).toEqual([true, true, false, true, false, false])
    const [a, b] = results
    expect(results.map(({ id }) => id)).toEqual([a?.id, b?.id, a?.id, results[3]?.id, b?.id, a?.id])
    expect(await rowsOf(world)).toHaveLength(3)
    expect(await jobCount(world)).toBe(3)
    const again = await world.sender.enqueueMany(inputs.slice(0, 3), { db })
    expect(again).toEqual(results.slice(0, 3).map(({ id }) => ({ id, created: false })))
    const loop = await world.sender.enqueue(keyed(0, 'a'), { db })
    expect(loop).toEqual(again[0])
  })

  test.each([
    ['in the same call', false],
    ['of an earlier message', true],
  ])('%s with another message throws, and nothing is written', async (_where, isEarlier) => {
    const world = await newWorld()
    const client = await appClient(world)
    if (isEarlier) await world.sender.enqueue(message({ idempotencyKey: 'a' }), { db: client })
    const before = await rowsOf(world)
    // More than one chunk: the reused key is in the last one.
    const inputs = [
      ...(isEarlier ? [] : [message({ idempotencyKey: 'a' })]),
      ...many(1_500),
      message({ idempotencyKey: 'a', body: 'Something else' }),
    ]
    await client.query('begin')
    const error = await world.sender.enqueueMany(inputs, { db: client }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(IdempotencyKeyReusedError)
    await client.query('commit')
    expect(await rowsOf(world)).toEqual(before)
    expect(await jobCount(world)).toBe(before.length)
  })

  test('of another transaction makes it wait, and then finds the row of that one', async () => {
    const world = await newWorld()
    const [one, two] = [await appClient(world), await appClient(world)]
    const keyed = message({ idempotencyKey: 'a' })
    await one.query('begin')
    await two.query('begin')
    const first = await world.sender.enqueue(keyed, { db: one })
    const second = world.sender.enqueueMany([message(), keyed], { db: two })
    await waitFor('the second to wait', async () => {
      const waiting = await world.database.query(
        `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      )
      return waiting.length > 0
    })
    await one.query('commit')
    expect(await second).toEqual([
      { id: expect.any(Number), created: true },
      { id: first.id, created: false },
    ])
    await two.query('commit')
    expect(await rowsOf(world)).toHaveLength(2)
    expect(await jobCount(world)).toBe(2)
  })
})

test('two calls with the same keys in opposite orders do not deadlock', async () => {
  const world = await newWorld()
  const clients = [await appClient(world), await appClient(world)]
  const inputs = many(2_000, (i) => ({ idempotencyKey: `order-${i}` }))
  const results = await Promise.all(
    clients.map(async (client, i) => {
      await client.query('begin')
      const own = i === 0 ? inputs : [...inputs].reverse()
      const added = await world.sender.enqueueMany(own, { db: client })
      await client.query('commit')
      return i === 0 ? added : [...added].reverse()
    }),
  )
  const [one = [], two = []] = results
  expect(one.map(({ id }) => id)).toEqual(two.map(({ id }) => id))
  expect(one.map(({ created }) => created)).toEqual(two.map(({ created }) => !created))
  expect(await jobCount(world)).toBe(2_000)
})

test('a row that the database refuses fails with the error of the driver', async () => {
  const world = await newWorld()
  const client = await appClient(world)
  await client.query('alter table sms_usage_logs add constraint "no long texts" check (message_length < 15)')
  await client.query('begin')
  await expect(world.sender.enqueueMany([...many(2), message()], { db: client })).rejects.toMatchObject({
    code: '23514',
    constraint: 'no long texts',
  })
  await client.query('rollback')
  expect(await rowsOf(world)).toEqual([])
  expect(await jobCount(world)).toBe(0)
})
