// Tests sweeps beside locked rows, rows that the database refuses to change, and existing jobs. reconcile-lost.test.ts tests
// single messages.
import { describe, expect, test } from '@jest/globals'
import { jobIdOf } from '../support/job-id.ts'
import { reconcile } from '../../src/messages/reconcile.ts'
import { newProcess, newTimedWorld, NOTHING, type TimedWorld } from '../support/timed-world.ts'
import { enqueue } from '../support/workers.ts'
import type { World } from '../support/world.ts'
import { appClient, message, rowOf } from '../support/world-with.ts'

const NOT_RECORDED = expect.stringMatching(/^The database refuses to change a message/)

/** Attempts whose jobs are gone, and which were due 30 s ago. */
async function lost(world: TimedWorld, count: number): Promise<number[]> {
  const ids: number[] = []
  for (let i = 0; i < count; i += 1) ids.push(await enqueue(world))
  await world.database.query('delete from sms_retry_pgboss.job')
  await world.pass(30)
  return ids
}

const jobsInOrder = ({ database }: World): Promise<{ id: string; state: string }[]> =>
  database.query(`select id, state from sms_retry_pgboss.job where name = 'attempt' order by id`)

/** Our statements that wait for a lock, even if their caller has given up. */
const waitingForLocks = ({ database }: World): Promise<object[]> =>
  database.query(
    `select query from pg_stat_activity
      where datname = current_database() and application_name = 'sms-retry' and wait_event_type = 'Lock'`,
  )

/** In the order of the jobs. */
async function jobIds({ database }: World, ids: readonly number[]): Promise<string[]> {
  const job = { attempt: 0, postponements: 1 }
  return (await Promise.all(ids.map((id) => jobIdOf(database, id, job)))).toSorted()
}

const errorsIn = ({ log }: World): object[] => log.filter(({ level }) => level === 'error')

describe('a row that the app has locked', () => {
  test('is left for the next sweep, and the others get jobs', async () => {
    const world = await newTimedWorld()
    const [first, locked, last] = (await lost(world, 3)) as [number, number, number]
    const app = await appClient(world)
    await app.query('begin')
    await app.query('select from sms_usage_logs where id = $1 for update', [locked])
    const deps = await newProcess(world)
    const ofLocked = await rowOf(world, locked)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 2, rungAgain: 2, leftOut: 1 })
    expect(await jobsInOrder(world)).toEqual(
      (await jobIds(world, [first, last])).map((id) => ({ id, state: 'created' })),
    )
    expect(await rowOf(world, locked)).toEqual(ofLocked)
    expect(await waitingForLocks(world)).toEqual([])
    // And no statement has waited for it and timed out.
    expect(errorsIn(world)).toEqual([])
    await app.query('rollback')
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, rungAgain: 1 })
  })

  test('during its lookup is looked up again later, and no statement keeps waiting', async () => {
    const world = await newTimedWorld()
    const { id } = await world.sender.send(message())
    await world.simulator.idle()
    await world.pass(300)
    const deps = await newProcess(world)
    const app = await appClient(world)
    const { twilio } = deps
    const lockFirst = async (sid: string): ReturnType<typeof twilio.fetch> => {
      await app.query('begin')
      await app.query('select from sms_usage_logs where id = $1 for update', [id])
      return twilio.fetch(sid)
    }
    const sum = await reconcile({ ...deps, twilio: { ...twilio, fetch: lockFirst } })
    expect(sum).toEqual({ ...NOTHING, looked: 1, asked: 1, failed: 1 })
    expect(await waitingForLocks(world)).toEqual([])
    await app.query('rollback')
    await world.pass(600)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, asked: 1, answered: 1 })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'delivered' })
  })
})

test('a whole page of locked rows does not block the other rows', async () => {
  const world = await newTimedWorld()
  const ids = await lost(world, 55)
  const app = await appClient(world)
  await app.query('begin')
  await app.query('select from sms_usage_logs where id = any($1::int[]) for update', [ids.slice(0, 52)])
  expect(await reconcile(await newProcess(world))).toEqual({
    ...NOTHING,
    looked: 3,
    rungAgain: 3,
    leftOut: 52,
  })
})

describe('a row that the database refuses to change', () => {
  test.each([
    [
      'by a trigger',
      [
        `create function refuse() returns trigger language plpgsql as
           'begin raise exception ''closed for the audit''; end'`,
        `create trigger refuse before update on sms_usage_logs for each row when (new.user_id = 13)
           execute function refuse()`,
      ],
    ],
    [
      'by a constraint that is younger than the row',
      ['alter table sms_usage_logs add constraint "no 13" check (user_id <> 13) not valid'],
    ],
  ])('by %s does not block the others, and each process logs it once', async (_what, refusing) => {
    const world = await newTimedWorld()
    const [first, refused, last] = (await lost(world, 3)) as [number, number, number]
    await world.database.query('update sms_usage_logs set user_id = 13 where id = $1', [refused])
    for (const statement of refusing) await world.database.query(statement)
    const before = await rowOf(world, refused)
    const deps = await newProcess(world)
    const sum = await reconcile(deps)
    expect(sum).toEqual({ ...NOTHING, looked: 2, rungAgain: 2, leftOut: 1 })
    expect((await jobsInOrder(world)).map(({ id }) => id)).toEqual(await jobIds(world, [first, last]))
    expect(await rowOf(world, refused)).toEqual(before)
    const once = { message: NOT_RECORDED, fields: expect.objectContaining({ messageId: refused }) }
    expect(errorsIn(world)).toMatchObject([once])
    expect(await reconcile(deps)).toEqual(NOTHING)
    expect(errorsIn(world)).toMatchObject([once])
    expect(await reconcile(await newProcess(world))).toEqual({ ...NOTHING, leftOut: 1 })
    expect(errorsIn(world)).toMatchObject([once, once])
  })

  test('does not block the others if a whole page of them comes first', async () => {
    const world = await newTimedWorld()
    const ids = await lost(world, 55)
    const refused = ids.slice(0, 52)
    await world.database.query('update sms_usage_logs set user_id = 13 where id = any($1::int[])', [refused])
    await world.database.query(
      'alter table sms_usage_logs add constraint "no 13" check (user_id <> 13) not valid',
    )
    const sum = await reconcile(await newProcess(world))
    expect(sum).toEqual({ ...NOTHING, looked: 3, rungAgain: 3, leftOut: 52 })
    expect(errorsIn(world)).toHaveLength(52)
  })
})

describe('the job of an overdue attempt', () => {
  const set = (changes: string): string => `update sms_retry_pgboss.job set ${changes} where name = 'attempt'`

  test.each([
    ['waits its turn', set("state = 'created'"), 'created'],
    ['has failed and is due again', set("state = 'retry', start_after = now() - interval '1 s'"), 'retry'],
    ['was just started', set("state = 'active', started_on = now() - interval '10 s'"), 'active'],
  ])('is kept if it %s', async (_what, change, state) => {
    const world = await newTimedWorld()
    const id = await enqueue(world)
    await world.database.query(change)
    await world.pass(30)
    const deps = await newProcess(world)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1 })
    expect(await jobsInOrder(world)).toEqual([
      { id: await jobIdOf(world.database, id, { attempt: 0, postponements: 0 }), state },
    ])
    // Only the row's time of the next check has moved.
    expect(await reconcile(deps)).toEqual(NOTHING)
    const entry = { number: 0, status: 'pending' }
    expect(await rowOf(world, id)).toMatchObject({
      final_status: 'pending',
      sms_metadata: { attempts: [entry] },
    })
  })

  test.each([
    ['is completed', set("state = 'completed', completed_on = now()")],
    ['has failed for good', set("state = 'failed', completed_on = now()")],
    ['is canceled', set("state = 'cancelled', completed_on = now()")],
    ['is deleted', "delete from sms_retry_pgboss.job where name = 'attempt'"],
    ['was started a minute ago', set("state = 'active', started_on = now() - interval '1 minute'")],
    ['is due tomorrow', set("start_after = now() + interval '1 day'")],
  ])('is replaced if it %s', async (_what, change) => {
    const world = await newTimedWorld()
    const id = await enqueue(world)
    await world.database.query(change)
    await world.pass(30)
    expect(await reconcile(await newProcess(world))).toEqual({ ...NOTHING, looked: 1, rungAgain: 1 })
    expect(await jobsInOrder(world)).toEqual([
      { id: await jobIdOf(world.database, id, { attempt: 0, postponements: 1 }), state: 'created' },
    ])
  })
})
