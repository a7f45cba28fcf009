// Tests a hold and a pause on real rows and jobs, with senders, callbacks and workers. delivery/holds.test.ts tests the
// decisions.
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import { pauseSending, readAccountState, resumeSending } from '../../src/db/account-row.ts'
import { type AccountState, WORKING_ACCOUNT } from '../../src/delivery/account-state.ts'
import { reconcile } from '../../src/messages/reconcile.ts'
import type { Db } from '../../src/postgres/pool.ts'
import { openSender, type Sender } from '../../src/processes/sender.ts'
import { accept, answerWith, type Answering, errorBody } from '../support/fake-twilio.ts'
import { newProcess, passForRows, runDue } from '../support/timed-world.ts'
import { waitFor } from '../support/wait-for.ts'
import { enqueue, newWorker, waitForStatus } from '../support/workers.ts'
import type { World } from '../support/world.ts'
import {
  appClient,
  closeLater,
  jobCount,
  message,
  newWorldWith,
  rowOf,
  rowsOf,
} from '../support/world-with.ts'

const SUSPENDED = answerWith(403, errorBody(403, 10001, 'Account is not active'))
const WHY = 'Sending is on hold: the Twilio account fails with 10001'
const UNSCALED = { RETRY_DELAY_SCALE: '1' }

/** A world whose account is suspended until `recover`. */
async function suspendedWorld(env: Record<string, string> = {}) {
  let answering: Answering = SUSPENDED
  const { world, twilio } = await newWorldWith((response, post) => answering(response, post), env)
  const recover = (): void => {
    answering = accept
  }
  return { world, twilio, recover }
}

const dbOf = ({ database }: World): Db => ({
  executeSql: async (text, values) => ({ rows: await database.query<never>(text, values) }),
})

const stateOf = async (world: World): Promise<AccountState> => (await readAccountState(dbOf(world))).state

/** The sender of another process. */
async function newSender(world: World): Promise<Sender> {
  const sender = await openSender(world.openRuntime())
  closeLater(() => sender.close())
  return sender
}

const numbered = (i: number): string => `+1206555${1000 + i}`

/** Sends five messages, one after the other: all fail because of the account. */
async function causeHold(world: World): Promise<void> {
  for (let i = 0; i < 5; i += 1) await world.sender.send(message({ to: numbered(i) }))
}

/** Lets this time pass for the hold. */
const passForHold = ({ database }: World, seconds: number): Promise<unknown> =>
  database.query(
    `update sms_retry.account_state
        set held_since = held_since - make_interval(secs => $1), probe_at = probe_at - make_interval(secs => $1)`,
    [seconds],
  )

describe('a hold', () => {
  test('begins with the fifth failure of any sender; the next message is recorded and makes no request', async () => {
    const { world, twilio } = await suspendedWorld(UNSCALED)
    const other = await newSender(world)
    for (let i = 0; i < 5; i += 1) {
      expect((await stateOf(world)).hold).toBeNull()
      const sender = i % 2 === 0 ? world.sender : other
      expect(await sender.send(message({ to: numbered(i) }))).toMatchObject({
        status: 'retry_scheduled',
        errorCode: 10001,
      })
    }
    const { hold } = await stateOf(world)
    expect(hold).toMatchObject({ errorCode: 10001, liftedBy: 'accepted', probes: 0 })

    const result = await world.sender.send(message({ to: numbered(9) }))
    const row = await rowOf(world, result.id)
    expect(row).toMatchObject({ final_status: 'pending', success: true, error_message: WHY })
    expect(result).toEqual({
      id: row.id,
      status: 'retry_scheduled',
      nextRetryAt: row.next_retry_at,
      reason: WHY,
    })
    expect(twilio.posts).toHaveLength(5)
    expect(await jobCount(world)).toBe(6)
  })

  test('begins if five processes record a failure at the same moment', async () => {
    const { world } = await suspendedWorld(UNSCALED)
    const senders = await Promise.all(Array.from({ length: 5 }, () => newSender(world)))
    await Promise.all(senders.map((sender, i) => sender.send(message({ to: numbered(i) }))))
    expect((await stateOf(world)).hold).not.toBeNull()
  })

  test('does not begin if messages are accepted in between', async () => {
    let count = 0
    const { world } = await newWorldWith((response, post) => {
      count += 1
      return (count % 5 === 0 ? accept : SUSPENDED)(response, post)
    }, UNSCALED)
    for (let i = 0; i < 14; i += 1) await world.sender.send(message({ to: numbered(i) }))
    expect((await stateOf(world)).hold).toBeNull()
  })

  test('lets a deadline pass: the sweep expires the message', async () => {
    const { world, twilio } = await suspendedWorld(UNSCALED)
    await causeHold(world)
    const { id, status } = await world.sender.send(message({ validForSeconds: 20 }))
    expect(status).toBe('retry_scheduled')
    await world.database.query(
      `update sms_usage_logs
          set next_retry_at = next_retry_at - interval '1 minute',
              sms_metadata = sms_metadata || '{"deadline": "2026-01-01T00:00:00.000Z", "reconcile_at": "2026-01-01T00:00:00.000Z"}'
        where id = $1`,
      [id],
    )
    await reconcile(await newProcess(world))
    expect(await rowOf(world, id)).toMatchObject({
      final_status: 'expired',
      error_message: 'Its deadline passed before it could be sent',
    })
    expect(await jobCount(world)).toBe(5)
    expect(twilio.posts).toHaveLength(5)
  })

  test('postpones an attempt that a worker had taken', async () => {
    const { world, twilio } = await suspendedWorld(UNSCALED)
    const id = await enqueue(world)
    await causeHold(world)
    await runDue(world, await newProcess(world), id, 0)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending', error_message: WHY })
    expect(twilio.posts).toHaveLength(5)
  })
})

describe('workers', () => {
  test('make one probe at a time, and send everything after the first success, each message once', async () => {
    const { world, twilio, recover } = await suspendedWorld(UNSCALED)
    for (let i = 0; i < 40; i += 1) await enqueue(world, { to: numbered(100 + i) })
    await causeHold(world)
    await newWorker(world)
    await newWorker(world)
    // The workers may have taken jobs before their first look at the account: the claims met the hold.
    for (let probe = 1; probe <= 3; probe += 1) {
      await passForHold(world, 3600)
      await waitFor(`probe ${probe}`, async () => (await stateOf(world)).hold?.probes === probe)
      await waitFor(`the request of probe ${probe}`, async () => twilio.posts.length >= 5 + probe)
      expect(twilio.posts).toHaveLength(5 + probe)
    }
    recover()
    await passForHold(world, 3600)
    await waitFor('the end of the hold', async () => (await stateOf(world)).hold === null)
    // What was postponed, or failed as a probe, is due later.
    await passForRows(world, 7200)
    await world.database.query(
      `update sms_retry_pgboss.job set start_after = now() where state in ('created', 'retry')`,
    )
    await waitFor('all messages to be accepted', async () =>
      (await rowsOf(world)).every(({ final_status }) => final_status === 'queued'),
    )
    // A lookup has no recipient.
    const accepted = twilio.posts.slice(8).flatMap(({ fields }) => fields['To'] ?? [])
    expect(accepted).toHaveLength(45)
    expect(new Set(accepted).size).toBe(45)
    expect(await stateOf(world)).toEqual({ ...WORKING_ACCOUNT, workingSince: expect.any(Date) })
  })

  test('take another message for the probe if those before it need no attempt, or cannot be claimed', async () => {
    const { world, twilio, recover } = await suspendedWorld(UNSCALED)
    const canceled = []
    for (let i = 0; i < 20; i += 1) canceled.push(await enqueue(world, { to: numbered(100 + i) }))
    const locked = await enqueue(world, { to: numbered(120) })
    const id = await enqueue(world, { to: numbered(121) })
    // As the app may write it: the job stays.
    await world.database.query(`update sms_usage_logs set final_status = 'canceled' where id = any($1)`, [
      canceled,
    ])
    const app = await appClient(world)
    await app.query('begin')
    await app.query('select from sms_usage_logs where id = $1 for update', [locked])
    await causeHold(world)
    recover()
    await passForHold(world, 3600)
    await newWorker(world)
    await waitForStatus(world, id, 'queued')
    expect(twilio.posts).toHaveLength(6)
  })
})

describe('a pause', () => {
  test('stops senders and workers until a person resumes', async () => {
    const { world, twilio, recover } = await suspendedWorld(UNSCALED)
    recover()
    await newWorker(world)
    await pauseSending(dbOf(world), 'ops', 'maintenance')
    const result = await world.sender.send(message())
    expect(result).toMatchObject({ status: 'retry_scheduled', reason: 'Sending is paused: maintenance' })
    const id = await enqueue(world)
    // Longer than the worker's polling, and than its look at the account.
    await sleep(2_000)
    expect(twilio.posts).toEqual([])
    await resumeSending(dbOf(world))
    await waitForStatus(world, id, 'queued')
    await waitForStatus(world, result.id, 'queued')
    expect(twilio.posts).toHaveLength(2)
  })
})
