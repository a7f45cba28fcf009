// sender.cancel(): with and without the transaction of the app, and against workers that claim the same attempt.
import { describe, expect, test } from '@jest/globals'
import type pg from 'pg'
import type { CancelResult } from '../../src/messages/cancel-message.ts'
import { InvalidMessageError, RefusedRowError } from '../../src/shared/errors.ts'
import { accept } from '../support/fake-twilio.ts'
import { jobsOf, newProcess, runDue } from '../support/timed-world.ts'
import { waitFor } from '../support/wait-for.ts'
import { DEFAULT_POOL, type World } from '../support/world.ts'
import { appClient, jobCount, message, newWorld, newWorldWith, rowOf } from '../support/world-with.ts'

const UNSCALED = { RETRY_DELAY_SCALE: '1' }
const CANCELED: CancelResult = { canceled: true, status: 'canceled' }
/** The API refuses it once, and a retry follows. */
const REFUSED_ONCE = '+15552161101'

async function enqueued(world: World, client: pg.Client, key?: string): Promise<number> {
  return (await world.sender.enqueue(message({ idempotencyKey: key }), { db: client })).id
}

describe.each([
  ['without a transaction', false],
  ["in the app's transaction", true],
])('%s', (_how, inTransaction) => {
  async function cancel(
    world: World,
    client: pg.Client,
    ...[ref, options]: Parameters<World['sender']['cancel']>
  ): Promise<CancelResult> {
    if (!inTransaction) return world.sender.cancel(ref, options)
    await client.query('begin')
    const result = await world.sender.cancel(ref, { ...options, db: client })
    await client.query('commit')
    return result
  }

  test('cancel() cancels a waiting message by id or key, with its job, and is the same the second time', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    const refs = [
      { id: await enqueued(world, client) },
      { idempotencyKey: 'a', id: await enqueued(world, client, 'a') },
    ]
    for (const { id, idempotencyKey } of refs as { id: number; idempotencyKey?: string }[]) {
      const ref = idempotencyKey === undefined ? { id } : { idempotencyKey }
      expect(await cancel(world, client, ref, { reason: 'Order withdrawn' })).toEqual(CANCELED)
      expect(await cancel(world, client, ref, { reason: 'Another reason' })).toEqual(CANCELED)
      expect(await rowOf(world, id)).toMatchObject({
        final_status: 'canceled',
        success: true,
        next_retry_at: null,
        error_message: 'Order withdrawn',
      })
    }
    expect(await jobCount(world)).toBe(0)
  })

  test('cancel() without a reason says that it was canceled before its attempt', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    const id = await enqueued(world, client)
    expect(await cancel(world, client, { id })).toEqual(CANCELED)
    expect(await rowOf(world, id)).toMatchObject({ error_message: 'Canceled before the next attempt' })
  })

  test('cancel() keeps what the row says about its attempts, and cancels the retry', async () => {
    const world = await newWorld({ env: UNSCALED })
    const client = await appClient(world)
    const { id } = await world.sender.send(message({ to: REFUSED_ONCE, metadata: { order: 1001 } }))
    const before = await world.sender.get({ id })
    expect(before).toMatchObject({ status: 'retrying', retryCount: 1, metadata: { order: 1001 } })
    expect(await cancel(world, client, { id }, { reason: 'Order withdrawn' })).toEqual(CANCELED)
    expect(await world.sender.get({ id })).toEqual({
      ...before,
      status: 'canceled',
      reason: 'Order withdrawn',
      retryCount: 0,
      nextRetryAt: null,
      attempts: before?.attempts.filter(({ number }) => number === 0),
    })
    expect(await jobCount(world)).toBe(0)
  })

  test('cancel() of a message that does not exist has the status null', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    const unknown = { canceled: false, status: null }
    expect(await cancel(world, client, { id: 2_000_000_000 })).toEqual(unknown)
    expect(await cancel(world, client, { idempotencyKey: 'nobody' })).toEqual(unknown)
  })

  test.each([
    ['queued'],
    ['delivered'],
    ['submitting'],
    ['undelivered'],
    ['expired'],
  ])('cancel() of a message that is %s changes nothing, and tells its status', async (status) => {
    const { world } = await newWorldWith(accept, UNSCALED)
    const client = await appClient(world)
    const { id } = await world.sender.send(message())
    await world.database.query('update sms_usage_logs set final_status = $1', [status])
    const before = await rowOf(world, id)
    expect(await cancel(world, client, { id })).toEqual({ canceled: false, status })
    expect(await rowOf(world, id)).toEqual(before)
  })

  test.each([
    ['an empty reason', ''],
    ['a reason of two lines', 'a\nb'],
    ['a reason of 201 characters', 'x'.repeat(201)],
    ['a reason with half of a surrogate pair', '\ud800'],
    ['a reason that is no text', 7 as never],
  ])('cancel() rejects %s, and the transaction can continue', async (_what, reason) => {
    const world = await newWorld()
    const client = await appClient(world)
    const id = await enqueued(world, client)
    await client.query('begin')
    const canceling = world.sender.cancel({ id }, inTransaction ? { db: client, reason } : { reason })
    await expect(canceling).rejects.toBeInstanceOf(InvalidMessageError)
    await client.query('commit')
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending' })
  })

  test('cancel() fails if a trigger discards the change', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    const id = await enqueued(world, client)
    await client.query(
      `create function keep() returns trigger language plpgsql as $$ begin return null; end $$;
       create trigger keep before update on sms_usage_logs for each row execute function keep()`,
    )
    const error = await cancel(world, client, { id }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RefusedRowError)
    if (inTransaction) await client.query('rollback')
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending' })
  })
})

describe("in the app's transaction", () => {
  test('a rollback leaves the message and its job, and it is sent', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    const id = await enqueued(world, client)
    await client.query('begin')
    expect(await world.sender.cancel({ id }, { db: client })).toEqual(CANCELED)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending' })
    await client.query('rollback')
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending', error_message: null })
    await world.startWorker()
    await waitFor('the delivery', async () => (await rowOf(world, id)).final_status === 'delivered')
  })

  test('a message that was enqueued in it can be canceled in it', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    await client.query('begin')
    const id = await enqueued(world, client, 'a')
    expect(await world.sender.cancel({ idempotencyKey: 'a' }, { db: client })).toEqual(CANCELED)
    await client.query('commit')
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'canceled' })
    expect(await jobCount(world)).toBe(0)
  })

  test.each([
    ['timestamp', 'Asia/Kolkata'],
    ['timestamptz', 'America/New_York'],
  ])('with a %s column and a session of another time zone, attempts survive, whatever parsers the app has', async (type, zone) => {
    const world = await newWorld({ env: UNSCALED })
    const client = await appClient(world)
    const { id } = await world.sender.send(message({ to: REFUSED_ONCE }))
    await client.query(
      `alter table sms_usage_logs
         alter column created_at drop default, alter column created_at type ${type} using created_at::${type},
         alter column next_retry_at type ${type} using (next_retry_at at time zone 'UTC')::${type}`,
    )
    await client.query(`set time zone '${zone}'; set datestyle = 'SQL, DMY'`)
    const before = await world.sender.get({ id })
    // As of an app that reads every column as a text.
    const texts = {
      executeSql: (text: string, values?: unknown[]) =>
        client.query({
          text,
          values: values ?? [],
          types: { getTypeParser: () => (value: unknown) => value } as never,
        }),
    }
    expect(await world.sender.cancel({ id }, { db: texts })).toEqual(CANCELED)
    const after = await world.sender.get({ id })
    expect(after).toMatchObject({ status: 'canceled', createdAt: before?.createdAt })
    expect(after?.attempts).toEqual(before?.attempts.filter(({ number }) => number === 0))
  })

  test.each(['commit', 'rollback'])('a claim waits for it; after its %s, the claim knows', async (end) => {
    const { world, twilio } = await newWorldWith(accept, { ...UNSCALED, ...DEFAULT_POOL })
    const client = await appClient(world)
    const deps = await newProcess(world)
    const id = await enqueued(world, client)
    await client.query('begin')
    expect(await world.sender.cancel({ id }, { db: client })).toEqual(CANCELED)
    const running = runDue(world, deps, id, 0)
    await waitFor('the claim to wait', async () => {
      const waiting = await world.database.query(
        `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      )
      return waiting.length > 0
    })
    await client.query(end)
    await running
    expect(twilio.posts).toHaveLength(end === 'commit' ? 0 : 1)
    expect((await rowOf(world, id)).final_status).toBe(end === 'commit' ? 'canceled' : 'queued')
  })
})

describe('against the claim of a worker', () => {
  const ROUNDS = 100

  test.each([
    ['without a transaction', false],
    ["in the app's transaction", true],
  ])('cancel() %s tells truly which of them was first', async (_how, inTransaction) => {
    const outcomes: { readonly canceled: boolean; readonly claimed: boolean }[] = []
    let answer: () => void = () => undefined
    let canAnswer = Promise.resolve()
    const { world, twilio } = await newWorldWith(
      async (response, post) => {
        // Until then, a claimed message stays `submitting`.
        await canAnswer
        accept(response, post)
      },
      { ...UNSCALED, ...DEFAULT_POOL },
    )
    const client = await appClient(world)
    const app = await appClient(world)
    const deps = await newProcess(world)
    const cancel = async (id: number): Promise<CancelResult> => {
      if (!inTransaction) return world.sender.cancel({ id })
      await client.query('begin')
      const result = await world.sender.cancel({ id }, { db: client })
      await client.query('commit')
      return result
    }
    for (let round = 0; round < ROUNDS; round++) {
      canAnswer = new Promise((resolve) => {
        answer = resolve
      })
      const before = twilio.posts.length
      const id = await enqueued(world, app)
      const claim = (): Promise<void> => runDue(world, deps, id, 0)
      let running: Promise<void>
      let canceling: Promise<CancelResult>
      switch (round % 4) {
        case 0:
          ;[running, canceling] = [claim(), cancel(id)]
          break
        case 1:
          ;[canceling, running] = [cancel(id), claim()]
          break
        case 2:
          // The claim is committed.
          running = claim()
          await waitFor('the request', () => twilio.posts.length > before)
          canceling = cancel(id)
          break
        default:
          canceling = cancel(id)
          await canceling
          running = claim()
      }
      const result = await canceling
      answer()
      await running
      const claimed = twilio.posts.length > before
      outcomes.push({ canceled: result.canceled, claimed })
      expect(result).toEqual(claimed ? { canceled: false, status: 'submitting' } : CANCELED)
      expect((await rowOf(world, id)).final_status).toBe(claimed ? 'queued' : 'canceled')
    }
    expect(outcomes.some(({ canceled }) => canceled)).toBe(true)
    expect(outcomes.some(({ claimed }) => claimed)).toBe(true)
    expect(await jobsOf(world)).toHaveLength(outcomes.filter(({ claimed }) => claimed).length)
  })
})
