// The database commits, and its answer is lost: what recordEvents wrote is there, and doing it again does no harm.
import { expect, test } from '@jest/globals'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { startDatabaseProxy } from '../http/database-proxy.ts'
import * as endpoint from '../http/endpoint.ts'
import { createTestDatabase } from '../support/database.ts'
import { accept, type Answering, answerWith, errorBody } from '../support/fake-twilio.ts'
import { waitFor } from '../support/wait-for.ts'
import {
  appClient,
  closeLater,
  jobCount,
  message,
  newWorld,
  newWorldWith,
  rowOf,
} from '../support/world-with.ts'
import { expectSubmissions, type Lossy, linesWith, lossy } from './lossy-world.ts'

test('of a claim: no request is made, and reconcile makes the attempt once', async () => {
  const world = await newWorld()
  const lossyWorld = await lossy(world)
  await lossyWorld.startWorker()
  const lost = lossyWorld.proxy.loseAt('commit', 'unanswered')
  const client = await appClient(world)
  const { id } = await world.sender.enqueue(message({ body: 'once' }), { db: client })
  await lost
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting', twilio_message_sid: null })
  expectSubmissions(world, {})

  await waitFor('delivery', async () => (await rowOf(world, id)).final_status === 'delivered')
  expectSubmissions(world, { once: 1 })
  expect(
    linesWith(lossyWorld.log, 'Twilio does not have an attempt in doubt; it is made again'),
  ).toHaveLength(1)
  expect(await rowOf(world, id)).toMatchObject({
    retry_count: 0,
    sms_metadata: { attempts: [{ number: 0 }] },
  })
})

test.each<[string, Answering, object, number]>([
  ['that Twilio accepted', accept, { final_status: 'queued', retry_count: 0 }, 0],
  [
    'that Twilio refused for now',
    answerWith(400, errorBody(400, 30001, 'Queue overflow')),
    { final_status: 'retrying', retry_count: 1 },
    1,
  ],
  [
    'that Twilio did not process',
    answerWith(429, errorBody(429, 20429, 'Too many requests')),
    { final_status: 'pending', retry_count: 0, sms_metadata: { attempts: [{ postponements: 1 }] } },
    1,
  ],
])('of the answer %s: it is recorded again, and nothing happens twice', async (_what, answer, expected, jobs) => {
  let lossyWorld: Lossy
  let lost: Promise<void> | undefined
  const answering: Answering = (response, post) => {
    lost = lossyWorld.proxy.loseAt('commit', 'unanswered')
    return answer(response, post)
  }
  const { world, twilio } = await newWorldWith(answering, { RETRY_DELAY_SCALE: '1' })
  lossyWorld = await lossy(world)
  const sender = await lossyWorld.openSender()
  const { id } = await sender.send(message())
  expect(lost).toBeDefined()
  await lost
  expect(await rowOf(world, id)).toMatchObject(expected)
  expect(await jobCount(world)).toBe(jobs)
  expect(twilio.posts).toHaveLength(1)
})

test.each([
  ['the connection is cut', 'cut'],
  ['the database is away for a second', 'away'],
] as const)('of a callback, when %s: it is recorded once, and answered with 204', async (_what, then) => {
  const database = await createTestDatabase()
  closeLater(() => database.drop())
  const proxy = await startDatabaseProxy(database.url, await freePort())
  closeLater(() => proxy.close())
  const target = await endpoint.startEndpoint(proxy.url)
  closeLater(() => target.stop())
  await waitFor('ready', async () => (await fetch(`${target.url}/readyz`)).ok)
  const row = await endpoint.insertSentRow(database)

  const lost = proxy.loseAt('commit', 'unanswered', then)
  const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
  const answer = endpoint.post(target, { path: endpoint.statusPath(row.id), fields })
  await lost
  await proxy.set('there')
  // Whether the server has committed before it noticed that nobody listens any more, makes no difference.
  expect(await answer).toMatchObject({ status: 204 })
  expect(await database.query('select final_status, retry_count from sms_usage_logs')).toEqual([
    { final_status: 'retrying', retry_count: 1 },
  ])
  expect(await endpoint.jobs(database)).toEqual([{ data: { message: row.id, attempt: 1 } }])
})
