// How many status callbacks a second one web process records, beside the most that Express can do, and beside the usual
// ways of doing the same.
import { createMessageDatabase, type MessageDatabase, postmasterPid } from '../database.ts'
import { openFullLoad } from '../full-load.ts'
import { idsFrom } from '../load.ts'
import type { Bar, BenchCase, BenchContext, Section } from '../section.ts'
import { type CallbackCase, callbackCase, type Jobs, jobsInTable, PRODUCT_JOBS } from './callback-case.ts'
import { type Endpoint, type PeerName, startPeer, startWebProcess } from './endpoints.ts'
import { ratio } from './ratio.ts'
import { type Redis, startRedis, whatBullmqLacks } from './redis.ts'
import { type Own, openCases } from './shared-resources.ts'

export const callbacks: Section = {
  name: 'callbacks',
  rounds: (isQuick) => (isQuick ? 2 : 5),
  open: (context) => openCases((own) => openAll(context, own)),
  judge(medians): Bar[] {
    const rate = (other: string): number => ratio(medians, 'callbacks/s', 'sms-retry', other)
    return [
      { what: 'callbacks/s, sms-retry : limit (aim 0.75)', value: rate('limit'), least: 0.5 },
      { what: 'callbacks/s, sms-retry : plain', value: rate('plain'), least: 5 },
      { what: 'callbacks/s, sms-retry : bullmq', value: rate('bullmq'), least: 1.7 },
      {
        what: 'processor time a callback, sms-retry : plain',
        value: ratio(medians, 'cpu µs', 'sms-retry', 'plain'),
        most: 0.18,
      },
    ]
  },
}

async function openAll(
  { server, isQuick, say }: BenchContext,
  own: Own,
): Promise<Omit<BenchCase, 'close'>[]> {
  const rows = isQuick ? 25_000 : 100_000
  const ids = idsFrom(1, rows)
  const load = await own(openFullLoad(ids))
  const postgres = await postmasterPid(server)
  const seconds = isQuick ? 1.5 : 4
  const to = (url: string): Pick<CallbackCase, 'ids' | 'send' | 'seconds'> => ({
    ids,
    send: (amount) => load.send(url, amount),
    seconds,
  })
  /** A database of its own for each, so that nobody's leavings are in another's way. */
  const openCase = async (
    name: string,
    start: (database: MessageDatabase) => Promise<Endpoint>,
    jobsOf: (database: MessageDatabase) => Jobs,
    others: readonly number[] = [],
  ): Promise<Omit<BenchCase, 'close'>> => {
    const database = await own(createMessageDatabase(server, `callbacks_${name}`, rows, true))
    const { url, pid } = await own(start(database))
    const pids = [pid, postgres, ...others]
    return callbackCase({ ...to(url), name, store: { database, jobs: jobsOf(database) }, pids })
  }
  const peer =
    (name: PeerName, env: Readonly<Record<string, string>> = {}) =>
    ({ url }: MessageDatabase): Promise<Endpoint> =>
      startPeer(name, { DATABASE_URL: url, ...env })

  const limit = await own(startPeer('limit', {}))
  const cases = [
    callbackCase({ ...to(limit.url), name: 'limit', store: null, pids: [limit.pid] }),
    await openCase(
      'sms-retry',
      ({ url }) => startWebProcess(url),
      (database) => jobsInTable(database, PRODUCT_JOBS),
    ),
    await openCase('plain', peer('plain'), (database) => jobsInTable(database, 'pgboss.job')),
    await openCase('graphile-worker', peer('graphile-worker'), (database) =>
      jobsInTable(database, 'graphile_worker._private_jobs'),
    ),
  ]
  const lack = await whatBullmqLacks()
  if (lack !== null) {
    say(`bullmq is left out for want of ${lack}`)
    return cases
  }
  const redis = await own(startRedis())
  const bullmq = peer('bullmq', { REDIS_PORT: `${redis.port}` })
  return [...cases, await openCase('bullmq', bullmq, () => jobsInRedis(redis), [redis.pid])]
}

/** BullMQ's delayed jobs are a sorted set. */
function jobsInRedis(redis: Redis): Jobs {
  return {
    async clear() {
      await redis.command('FLUSHALL')
    },
    async count() {
      return Number((await redis.command('ZCARD bull:attempt:delayed')).slice(1))
    },
  }
}
