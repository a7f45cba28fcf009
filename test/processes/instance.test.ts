// The rows of running instances: they are added, updated and removed, and nothing is counted twice or lost.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { listInstances, type Role } from '../../src/db/instances.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { Exposition } from '../../src/http/exposition.ts'
import { Instance, type InstanceDeps } from '../../src/processes/instance.ts'
import { readVersion } from '../../src/shared/version.ts'
import { open } from '../db/original-table.ts'
import { parseConfig } from '../../src/config/config.ts'
import { POLICY } from '../delivery/build-message.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import { newMetrics, seriesOf } from '../support/metrics.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { capturingLogger, type LogLine } from '../support/world.ts'

let own: TestDatabase
let database: Database
const instances: Instance[] = []

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own, 5)
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

beforeEach(async () => {
  await own.query('truncate sms_retry.instance')
  await own.query(`update sms_retry.departed set metrics = '[]'`)
})

afterEach(async () => {
  for (const instance of instances.splice(0)) await instance.stop()
})

function newInstance(role: Role, changes: Partial<InstanceDeps> = {}) {
  const deps = {
    database,
    metrics: newMetrics(POLICY),
    logger: silentLogger,
    config: parseConfig({}, []),
    policy: POLICY,
    circumstances: UNRESTRICTED,
    ...changes,
  }
  const instance = new Instance(deps, role)
  instances.push(instance)
  return { instance, ...deps }
}

async function startedInstance(role: Role, callbacks: number, changes: Partial<InstanceDeps> = {}) {
  const made = newInstance(role, changes)
  made.metrics.callbacks.recorded.inc(callbacks)
  await made.instance.start()
  return made
}

/** The metrics as a web process exposes them that has counted nothing itself. */
async function read(): Promise<ReadonlyMap<string, number>> {
  const { instance, ...deps } = newInstance('web')
  return seriesOf(await new Exposition(deps, instance).read())
}

const RECORDED = 'sms_retry_callbacks_total{result="recorded"}'
const callbacks = async (): Promise<number | undefined> => (await read()).get(RECORDED)
const rows = (): Promise<{ role: string }[]> => own.query('select role from sms_retry.instance order by role')

/** Makes instances look silent for this long. */
const fallSilent = (seconds: number, role?: Role): Promise<unknown> =>
  own.query(
    `update sms_retry.instance set seen_at = seen_at - make_interval(secs => $1) where $2::text is null or role = $2`,
    [seconds, role ?? null],
  )

describe('the list of instances', () => {
  test('has role, host, process, version and times of each running instance', async () => {
    await startedInstance('worker', 0)
    await startedInstance('sender', 0)
    const list = await listInstances(database)
    expect(list.map(({ role }) => role)).toEqual(['sender', 'worker'])
    expect(list[0]).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      role: 'sender',
      settings: {
        outcomeEvents: false,
        deliversOutcomes: false,
        policy: expect.stringMatching(/^[0-9a-f]{12}$/),
        sendWindow: 'none',
      },
      host: expect.any(String),
      pid: process.pid,
      version: readVersion(),
      startedAt: expect.any(Date),
      seenAt: expect.any(Date),
    })
    const [{ startedAt, seenAt } = { startedAt: new Date(0), seenAt: new Date(0) }] = list
    expect(startedAt.getTime()).toBeLessThanOrEqual(seenAt.getTime())
  })

  test('omits instances that have stopped or were silent for a minute', async () => {
    await startedInstance('worker', 0)
    const { instance } = await startedInstance('sender', 0)
    await instance.stop()
    expect((await listInstances(database)).map(({ role }) => role)).toEqual(['worker'])
    await fallSilent(50)
    expect(await listInstances(database)).toHaveLength(1)
    await fallSilent(20)
    expect(await listInstances(database)).toEqual([])
  })
})

describe('counters never decrease', () => {
  test('when a process stops: its last counts stay, its row and gauges are removed', async () => {
    const { instance, metrics } = await startedInstance('worker', 5)
    metrics.callbacks.recorded.inc(2)
    await instance.stop()
    expect(await rows()).toEqual([])
    const series = await read()
    expect(series.get(RECORDED)).toBe(7)
    expect(series.get('sms_retry_instances{role="worker"}')).toBe(0)
    const [departed] = await own.query<{ text: string }>(
      'select metrics::text as "text" from sms_retry.departed',
    )
    expect(departed?.text).not.toContain('pool_connections')
  })

  test('when a process dies: the counts it last wrote stay, before and after its row is removed', async () => {
    await startedInstance('worker', 5)
    await fallSilent(70)
    expect(await callbacks()).toBe(5)
    await startedInstance('sender', 0)
    expect(await rows()).not.toContainEqual({ role: 'worker' })
    expect(await callbacks()).toBe(5)
  })

  test('when a running process is considered dead: it continues under a new id, and nothing counts twice', async () => {
    const { instance, metrics } = await startedInstance('worker', 5)
    const [before] = await listInstances(database)
    await fallSilent(70)
    await (await startedInstance('sender', 0)).instance.stop()
    expect(await rows()).toEqual([])
    metrics.callbacks.recorded.inc(2)
    await instance.write()
    expect(await callbacks()).toBe(7)
    const after = (await listInstances(database)).find(({ role }) => role === 'worker')
    expect(after?.id).not.toBe(before?.id)
    // Its age is unchanged, except for the time that the two statements took.
    expect(Math.abs((after?.startedAt.getTime() ?? 0) - (before?.startedAt.getTime() ?? 0))).toBeLessThan(
      60_000,
    )

    await fallSilent(70, 'worker')
    await (await startedInstance('sender', 0)).instance.stop()
    metrics.callbacks.recorded.inc(1)
    await instance.stop()
    expect(await callbacks()).toBe(8)
  })

  test('when many processes fold the same rows concurrently: each row counts once', async () => {
    for (let n = 0; n < 5; n += 1) await startedInstance('worker', 10)
    await fallSilent(70)
    // All find the dead rows after they have written their own, and half of them stop meanwhile.
    const started = await Promise.all(Array.from({ length: 8 }, () => startedInstance('sender', 1)))
    await Promise.all(started.slice(4).map(({ instance }) => instance.stop()))
    expect(await callbacks()).toBe(58)
    expect((await rows()).filter(({ role }) => role === 'worker')).toEqual([])
  })

  test('while instances start and stop and several web processes are scraped in turn', async () => {
    const webs = [await startedInstance('web', 1), await startedInstance('web', 2)].map(
      ({ instance, ...deps }) => ({ ...deps, exposition: new Exposition(deps, instance) }),
    )
    let last = 0
    for (let n = 0; n < 10; n += 1) {
      const { instance, metrics } = await startedInstance('worker', n)
      for (const { metrics: webMetrics, exposition } of webs) {
        const [text] = await Promise.all([
          exposition.read(),
          n % 2 === 0 ? instance.stop() : instance.write(),
        ])
        const now = seriesOf(text).get(RECORDED) ?? 0
        expect(now).toBeGreaterThanOrEqual(last)
        last = now
        webMetrics.callbacks.recorded.inc()
        metrics.callbacks.recorded.inc()
      }
    }
  })
})

test('gauges of all running instances are added up', async () => {
  const withPool = (total: number) => ({ metrics: newMetrics(POLICY, { total, idle: 0, waiting: 0 }) })
  await startedInstance('worker', 0, withPool(3))
  const { instance } = await startedInstance('sender', 0, withPool(2))
  expect((await read()).get('sms_retry_pool_connections{state="total"}')).toBe(5)
  await instance.stop()
  expect((await read()).get('sms_retry_pool_connections{state="total"}')).toBe(3)
})

describe('a failed write of the row', () => {
  test('is logged at debug level only, and the row is written when the database is back', async () => {
    const log: LogLine[] = []
    const { instance } = newInstance('worker', { logger: capturingLogger(log) })
    await own.query('alter table sms_retry.instance rename to hidden')
    await instance.start()
    await own.query('alter table sms_retry.hidden rename to instance')
    expect(log.map(({ level }) => level)).toEqual(['debug'])
    expect(await rows()).toEqual([])
    await instance.write()
    expect(await rows()).toEqual([{ role: 'worker' }])
  })

  test('does not keep a process from stopping, and others add its counts later', async () => {
    const { instance, metrics } = await startedInstance('worker', 3)
    metrics.callbacks.recorded.inc()
    await own.query('alter table sms_retry.departed rename to hidden')
    await instance.stop()
    await own.query('alter table sms_retry.hidden rename to departed')
    expect(await rows()).toEqual([{ role: 'worker' }])
    await fallSilent(70)
    await (await startedInstance('sender', 0)).instance.stop()
    expect(await rows()).toEqual([])
    expect(await callbacks()).toBe(4)
  })

  test('ignores stored metrics that are not ours', async () => {
    await startedInstance('worker', 3)
    await startedInstance('sender', 4)
    await own.query(`update sms_retry.instance set metrics = '{"not": "ours"}' where role = 'sender'`)
    expect(await callbacks()).toBe(3)
  })
})

test('concurrent writes share one write on one connection', async () => {
  const { instance } = await startedInstance('worker', 0)
  const writes = Array.from({ length: 20 }, () => instance.write())
  expect(database.connections().waiting).toBe(0)
  await Promise.all(writes)
})

test('an instance that was never started writes no row', async () => {
  const { instance } = newInstance('web')
  await instance.stop()
  expect(await rows()).toEqual([])
})

test('a stopped instance writes nothing', async () => {
  const { instance } = await startedInstance('worker', 3)
  await instance.stop()
  await Promise.all([instance.start(), instance.write(), instance.stop()])
  expect(await rows()).toEqual([])
  expect(await callbacks()).toBe(3)
})
