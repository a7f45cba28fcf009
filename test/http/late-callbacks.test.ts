// Callbacks that arrive late or early, end to end with worker and simulator.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { callbackFields, postSigned } from '../support/callbacks.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import * as endpoint from './endpoint.ts'

let world: World
let slowTwilio: SlowTwilio | undefined

afterEach(async () => {
  expect(endpoint.personalLines(world.log)).toEqual([])
  expect(world.simulator.doubleSubmissions()).toEqual([])
  slowTwilio?.release()
  await world.stop()
  await slowTwilio?.close()
  slowTwilio = undefined
})

/** The simulator sends no callbacks: the test sends them. */
const NO_CALLBACKS = { callbackDelayMs: 2_000_000_000 }

async function report(sid: string, status: string, path: string): Promise<void> {
  const { accountSid, authToken } = world.simulator
  const extra = status === 'undelivered' ? { ErrorCode: '30003' } : {}
  const fields = callbackFields(accountSid, sid, status, extra)
  expect(await postSigned(authToken, world.web.url + path, fields)).toMatchObject({ status: 204 })
}

interface Row {
  readonly final_status: string
  readonly twilio_message_sid: string
  readonly retry_count: number
  readonly sms_metadata: { readonly attempts: readonly { number: number; sid?: string }[] }
}

async function read(id: number): Promise<Row | undefined> {
  const [row] = await world.database.query<Row>('select * from sms_usage_logs where id = $1', [id])
  return row
}

/** The submitted attempts of the message, as the simulator received them. */
function submissions(id: number): (number | null)[] {
  return world.simulator.messages().flatMap(({ message, attempt }) => (message === `${id}` ? [attempt] : []))
}

/** Once a later message is submitted, the worker has handled all jobs that were due before. */
async function untilWorkerHasSeenAll(): Promise<void> {
  const runtime = world.openRuntime()
  const message = { userId: 1, to: '+12065550111', body: 'The control' }
  const { id } = await runtime.database.transaction((db) => world.sender.enqueue(message, { db }))
  await runtime.database.close()
  await waitFor('the control message', () => submissions(id).length === 1)
}

async function untilDue(id: number): Promise<void> {
  await waitFor('the retry to be due', async () => {
    const due = await world.database.query(
      'select 1 from sms_usage_logs where id = $1 and next_retry_at < clock_timestamp()',
      [id],
    )
    return due.length === 1
  })
}

function send(to = endpoint.TO): ReturnType<World['sender']['send']> {
  return world.sender.send({ userId: 1, to, body: endpoint.BODY })
}

describe('a late delivered callback of attempt 0', () => {
  test('cancels the scheduled attempt 1: the message is delivered, its job is deleted, and nothing is resent', async () => {
    world = await startWorld({ simulator: NO_CALLBACKS })
    const { id, sid = '' } = await send()
    await report(sid, 'undelivered', endpoint.statusPath(id))
    expect(await read(id)).toMatchObject({ final_status: 'retrying', retry_count: 1 })
    expect(await endpoint.jobs(world.database)).toEqual([{ data: { message: id, attempt: 1 } }])
    await untilDue(id)

    await report(sid, 'delivered', endpoint.statusPath(id))
    expect(await read(id)).toMatchObject({ final_status: 'delivered', retry_count: 0, next_retry_at: null })
    expect(await endpoint.jobs(world.database)).toEqual([])

    await world.startWorker()
    await untilWorkerHasSeenAll()
    expect(submissions(id)).toEqual([0])
    expect(await read(id)).toMatchObject({ final_status: 'delivered', success: true })
  })

  test('makes the worker send nothing, even if the job of attempt 1 still exists', async () => {
    world = await startWorld({ simulator: NO_CALLBACKS })
    const { id, sid = '' } = await send()
    await report(sid, 'undelivered', endpoint.statusPath(id))
    await untilDue(id)
    // Simulates a lost deletion: the job of another message is assigned to the delivered one.
    const { id: other, sid: otherSid = '' } = await send()
    await report(otherSid, 'undelivered', endpoint.statusPath(other))
    await report(sid, 'delivered', endpoint.statusPath(id))
    await world.database.query(`update sms_retry_pgboss.job set data = $1 where name = 'attempt'`, [
      { message: id, attempt: 1 },
    ])
    await untilDue(other)

    await world.startWorker()
    await untilWorkerHasSeenAll()
    await waitFor('the job to be done', async () => (await endpoint.jobs(world.database)).length === 0)
    expect(submissions(id)).toEqual([0])
  })

  test.each([
    ['sent by sms-retry', async () => withPath(await send(), endpoint.statusPath), [0, 1]],
    // The app chose its first callback URL, so only the sid of attempt 0 identifies the message.
    [
      'sent by the app',
      async () => withPath(await endpoint.insertSentRow(world.database), () => '/twilio/status'),
      [1],
    ],
  ])('after attempt 1 was submitted settles a message %s, and a failure of attempt 1 changes nothing', async (...row) => {
    const [, start, submitted] = row
    world = await startWorld({ simulator: NO_CALLBACKS })
    await world.startWorker()
    const { id, sid, path } = await start()
    await report(sid, 'undelivered', path)
    const retrySid = await waitFor('attempt 1 to be recorded', async () => {
      const { attempts } = (await read(id))?.sms_metadata ?? {}
      return attempts?.find(({ number }) => number === 1)?.sid
    })

    await report(sid, 'delivered', path)
    expect(await read(id)).toMatchObject({ final_status: 'delivered', success: true })
    await report(retrySid, 'undelivered', endpoint.statusPath(id, 1))
    expect(await read(id)).toMatchObject({ final_status: 'delivered', success: true, next_retry_at: null })
    expect(await endpoint.jobs(world.database)).toEqual([])
    expect(submissions(id)).toEqual(submitted)
  })

  function withPath(message: { id: number; sid?: string }, pathOf: (id: number) => string) {
    return { id: message.id, sid: message.sid ?? '', path: pathOf(message.id) }
  }
})

describe("a callback that arrives before the API's answer", () => {
  test('with a failure schedules one retry, which the answer does not undo, and the retry is delivered', async () => {
    slowTwilio = await startSlowTwilio()
    world = await startWorld({ env: { TWILIO_API_BASE_URL: slowTwilio.url } })
    slowTwilio.passTo(world.simulator.url)
    const sending = send('+15553000301')
    const id = await waitFor('the callback to be recorded', async () => {
      const [row] = await world.database.query<{ id: number }>(
        `select id from sms_usage_logs where final_status = 'retrying'`,
      )
      return row?.id
    })
    await world.simulator.idle()
    const [{ sid } = { sid: '' }] = world.simulator.messages()
    expect(await read(id)).toMatchObject({ twilio_message_sid: sid, retry_count: 1 })

    slowTwilio.release()
    expect(await sending).toMatchObject({ id, status: 'retry_scheduled', sid, errorCode: 30003 })
    expect(await read(id)).toMatchObject({ final_status: 'retrying', retry_count: 1, success: false })
    expect(await endpoint.jobs(world.database)).toEqual([{ data: { message: id, attempt: 1 } }])

    await world.startWorker()
    await waitFor('delivery', async () => (await read(id))?.final_status === 'delivered')
    expect(submissions(id)).toEqual([0, 1])
  })

  test('with delivered settles the message, and the answer does not undo it', async () => {
    slowTwilio = await startSlowTwilio()
    world = await startWorld({ env: { TWILIO_API_BASE_URL: slowTwilio.url } })
    slowTwilio.passTo(world.simulator.url)
    const sending = send()
    await waitFor('delivery', async () => (await read(1))?.final_status === 'delivered')
    slowTwilio.release()
    expect(await sending).toMatchObject({ id: 1, status: 'accepted' })
    expect(await read(1)).toMatchObject({ final_status: 'delivered', success: true })
    expect(submissions(1)).toEqual([0])
  })
})

test('a message that the app sent itself is retried until it is delivered', async () => {
  world = await startWorld()
  await world.startWorker()
  const { id, sid } = await endpoint.insertSentRow(world.database)
  await report(sid, 'sent', '/twilio/status')
  await report(sid, 'undelivered', '/twilio/status')
  await waitFor('delivery', async () => (await read(id))?.final_status === 'delivered')
  expect(await read(id)).toMatchObject({ retry_count: 1, success: true, next_retry_at: null })
  expect(submissions(id)).toEqual([1])
  expect(world.simulator.messages()).toMatchObject([{ to: endpoint.TO, body: endpoint.BODY }])
})

interface SlowTwilio {
  readonly url: string
  passTo(url: string): void
  /** Sends the delayed answers, and all later ones immediately. */
  release(): void
  close(): Promise<void>
}

/** A proxy of the simulator that passes requests on and delays the answers. */
async function startSlowTwilio(): Promise<SlowTwilio> {
  const released = Promise.withResolvers<void>()
  let upstream = ''
  const server: Server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const { authorization = '', 'content-type': type = '' } = request.headers
      const answer = await fetch(upstream + request.url, {
        method: request.method ?? 'POST',
        headers: { authorization, 'content-type': type },
        body: Buffer.concat(chunks),
      })
      const body = await answer.text()
      await released.promise
      response.writeHead(answer.status, { 'Content-Type': 'application/json' }).end(body)
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    passTo: (url) => {
      upstream = url
    },
    release: () => released.resolve(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
