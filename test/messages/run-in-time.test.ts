// Tests that the worker makes due attempts in time: never early, never after the deadline, and none with an outdated claim.
import { describe, expect, test } from '@jest/globals'
import { accept, answerWith, errorBody } from '../support/fake-twilio.ts'
import { waitFor } from '../support/wait-for.ts'
import { enqueue, newRunner, newWorker, waitForStatus } from '../support/workers.ts'
import type { World } from '../support/world.ts'
import { appClient, jobCount, message, newWorld, newWorldWith, rowOf, rowsOf } from '../support/world-with.ts'

async function slowDownClaims({ database }: World, seconds: number): Promise<void> {
  await database.query(
    `create function be_slow() returns trigger language plpgsql as
       $$ begin if new.final_status = 'submitting' then perform pg_sleep(${seconds}); end if; return new; end $$`,
  )
  await database.query(
    'create trigger slow before update on sms_usage_logs for each row execute function be_slow()',
  )
}

describe('the worker', () => {
  test('makes no request if the claim took more than 5 s', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const id = await enqueue(world)
    await slowDownClaims(world, 5.1)
    const runner = await newRunner(world)
    await runner.run([{ message: id, attempt: 0 }])
    await runner.stop()
    expect(twilio.posts).toEqual([])
    const row = await rowOf(world, id)
    expect(row).toMatchObject({ final_status: 'pending', retry_count: 0, success: true })
    expect(row.next_retry_at).not.toBeNull()
    expect(row.sms_metadata.attempts).toMatchObject([{ status: 'pending', postponements: 1 }])
  })

  test('makes no request if the deadline passed during the claim', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const id = await enqueue(world, { validForSeconds: 60 })
    await world.database.query(
      `update sms_usage_logs
          set sms_metadata = sms_metadata || jsonb_build_object('deadline', now() + interval '1.9 seconds')`,
    )
    await slowDownClaims(world, 2)
    const runner = await newRunner(world)
    await runner.run([{ message: id, attempt: 0 }])
    await runner.stop()
    expect(twilio.posts).toEqual([])
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'expired', success: false })
  })

  test('claims attempts together only within the rate limit', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const ids = [await enqueue(world), await enqueue(world), await enqueue(world)]
    const waits: { attempts: number; claimed: number }[] = []
    const wait = async (attempts: number): Promise<void> => {
      const claimed = (await rowsOf(world)).filter(({ final_status }) => final_status !== 'pending').length
      waits.push({ attempts, claimed })
    }
    const runner = await newRunner(world, { maxTogether: 2, wait })
    await runner.run(ids.map((id) => ({ message: id, attempt: 0 })))
    await runner.stop()
    expect(waits).toEqual([
      { attempts: 2, claimed: 0 },
      { attempts: 1, claimed: 2 },
    ])
    expect(twilio.posts).toHaveLength(3)
  })

  test('makes a retry, and never before it is due', async () => {
    // 30003 waits 1.5 s and 3 s, longer than the polling interval of the worker.
    const world = await newWorld({ env: { RETRY_DELAY_SCALE: '0.005' } })
    await world.startWorker()
    const ids = await Promise.all(Array.from({ length: 5 }, () => enqueue(world, { to: '+15553000302' })))
    for (const id of ids) await waitForStatus(world, id, 'delivered')
    const due = new Map(
      world.log.flatMap(({ fields }) =>
        fields['nextRetryAt'] instanceof Date && fields['status'] === 'retrying'
          ? [[`${fields['messageId']} ${Number(fields['attempt']) + 1}`, fields['nextRetryAt'].getTime()]]
          : [],
      ) as [string, number][],
    )
    const retries = world.simulator.messages().filter(({ attempt }) => attempt !== 0)
    expect(retries).toHaveLength(10)
    for (const { message: id, attempt, created_at_ms } of retries) {
      const dueMs = due.get(`${id} ${attempt}`)
      if (dueMs === undefined) throw new Error(`message ${id}, attempt ${attempt}: no due time in the log`)
      expect(created_at_ms).toBeGreaterThanOrEqual(dueMs)
    }
  })

  test('waits for the time of the row if it was moved', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const id = await enqueue(world)
    await world.database.query(`update sms_usage_logs set next_retry_at = now() + interval '1 hour'`)
    const worker = await newWorker(world)
    await waitFor('the job to be put off', async () => (await jobCount(world)) === 2)
    await worker.stop()
    expect(twilio.posts).toEqual([])
    const jobs = await world.database.query(
      `select start_after > now() + interval '59 minutes' as "later" from sms_retry_pgboss.job
        where name = 'attempt' and state = 'created'`,
    )
    expect(jobs).toEqual([{ later: true }])
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending' })
  })

  test.each([
    ['a first attempt', 'pending', 0],
    ['a retry', 'retrying', 1],
  ])('expires %s after the deadline, and does not send it', async (_what, status, attempt) => {
    const { world, twilio } = await newWorldWith(
      attempt === 0 ? accept : answerWith(400, errorBody(400, 21611, 'The queue is full')),
      {
        RETRY_DELAY_SCALE: '0.001',
      },
    )
    const valid = message({ validForSeconds: 3600 })
    const { id } =
      attempt === 0
        ? await world.sender.enqueue(valid, { db: await appClient(world) })
        : await world.sender.send(valid)
    expect(await rowOf(world, id)).toMatchObject({ final_status: status, retry_count: attempt })
    await world.database.query(
      `update sms_usage_logs set sms_metadata = sms_metadata || '{"deadline": "2026-01-01T00:00:00.000Z"}'`,
    )
    await world.startWorker()
    await waitForStatus(world, id, 'expired')
    expect(await rowOf(world, id)).toMatchObject({
      success: false,
      next_retry_at: null,
      error_message: expect.stringMatching(/deadline/),
    })
    expect(twilio.posts).toHaveLength(attempt)
  })

  test('passes the time until the deadline on to Twilio', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const id = await enqueue(world, { validForSeconds: 100_000 })
    await world.database.query(
      `update sms_usage_logs
          set sms_metadata = sms_metadata || jsonb_build_object('deadline', now() + interval '5 minutes')`,
    )
    await world.startWorker()
    await waitForStatus(world, id, 'queued')
    const seconds = Number(twilio.posts[0]?.fields['ValidityPeriod'])
    expect(seconds).toBeGreaterThan(200)
    expect(seconds).toBeLessThanOrEqual(300)
  })
})
