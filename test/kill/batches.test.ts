// The web process is killed while it records a batch of callbacks: at the commit, and before the answers. Twilio resends
// all of them. A single callback: reports.test.ts.
import { expect, test } from '@jest/globals'
import { type CallbackRequest, fingerprint, postTogether, statusPath } from '../http/endpoint.ts'
import { callbackFields } from '../support/callbacks.ts'
import { waitFor } from '../support/wait-for.ts'
import { type KillWorld, withKillWorld } from './kill-world.ts'

const SCALE = 0.02
/** Undelivered with 30001 at first, delivered by the retry. */
const FAILS_ONCE = '+15553000101'
const RECOVERED = { status: 'delivered', success: true, retries: 1, codes: [30001] }

test.each([
  { point: 'in callback', recorded: 0 },
  { point: 'after callback', recorded: 20 },
] as const)('web is killed $point with a batch of twenty: none is answered, $recorded are recorded, and resending records each once', ({
  point,
  recorded,
}) =>
  withKillWorld(SCALE, { killWebAt: point, chaos: { dropCallbacks: 1 } }, async (world) => {
    const worker = await world.startWorker()
    await world.enqueue(Array<string>(20).fill(FAILS_ONCE))
    await waitFor('all to be sent', async () => (await world.statuses()).every((one) => one === 'queued'))
    // No other process may change the rows from here on.
    await worker.stop()
    const callbacks = await undeliveredCallbacks(world)
    expect(await postTogether(world.target, callbacks)).toEqual([])
    await world.untilKilled(world.web, point)
    expect(await transactionsOfFailures(world)).toEqual(recorded === 0 ? [] : [recorded])
    expect(await world.jobsIn(['created', 'retry'])).toHaveLength(recorded)

    await world.startWeb()
    const before = await fingerprint(world.database)
    expect(await postTogether(world.target, callbacks)).toEqual(Array(20).fill(204))
    expect(await world.jobsIn(['created', 'retry'])).toHaveLength(20)
    if (recorded === 20) expect(await fingerprint(world.database)).toEqual(before)

    world.endFaults()
    await world.startWorker()
    await world.untilOver()
    expect(await world.outcomes()).toEqual(Array(20).fill(RECOVERED))
    expect(world.simulator.submissionCounts().accepted).toBe(40)
    expect(world.simulator.doubleSubmissions()).toEqual([])
  }))

/** The callbacks for the first attempts, as the simulator would send them. */
async function undeliveredCallbacks(world: KillWorld): Promise<CallbackRequest[]> {
  const rows = await world.database.query<{ id: number; sid: string }>(
    'select id, twilio_message_sid as "sid" from sms_usage_logs order by id',
  )
  return rows.map(({ id, sid }) => ({
    path: statusPath(id),
    fields: callbackFields(world.simulator.accountSid, sid, 'undelivered', { ErrorCode: '30001' }),
  }))
}

/** For each transaction, how many failures it recorded. */
async function transactionsOfFailures(world: KillWorld): Promise<number[]> {
  const transactions = await world.database.query<{ failures: number }>(
    `select count(*)::integer as "failures" from sms_usage_logs
      where final_status = 'retrying' group by xmin::text`,
  )
  return transactions.map(({ failures }) => failures)
}
