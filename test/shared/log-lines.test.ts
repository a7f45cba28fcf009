// Tests that each outcome is logged in one line above debug, with message and attempt, and nothing else is.
import { describe, expect, test } from '@jest/globals'
import { callbackFields, newSid, postSigned } from '../support/callbacks.ts'
import { accept, type Answering, answerWith, createdMessage, errorBody } from '../support/fake-twilio.ts'
import { waitFor } from '../support/wait-for.ts'
import type { LogLine, World } from '../support/world.ts'
import { message, newWorldWith } from '../support/world-with.ts'
import { enqueue, newWorker, waitForStatus } from '../support/workers.ts'

/** Unscaled, so that nothing else happens in between. */
const UNSCALED = { RETRY_DELAY_SCALE: '1' }

/** Without the lines on the start and end of processes. */
function outcomes(world: World): LogLine[] {
  return world.log.filter(({ level, message: text }) => level !== 'debug' && !/process|Worker/.test(text))
}

function postCallback(
  world: World,
  id: number,
  sid: string,
  status: string,
  code?: string,
): Promise<Response> {
  const { TWILIO_ACCOUNT_SID: account = '', TWILIO_AUTH_TOKEN: token = '' } = world.env
  const url = `${world.env['PUBLIC_BASE_URL']}/twilio/status?message=${id}&attempt=0`
  return postSigned(
    token,
    url,
    callbackFields(account, sid, status, code === undefined ? {} : { ErrorCode: code }),
  )
}

describe('the log line of a submission', () => {
  test.each<[what: string, answer: Answering, level: string, fields: object]>([
    [
      'that Twilio accepts',
      accept,
      'info',
      { outcome: 'accepted', status: 'queued', sid: expect.any(String) },
    ],
    [
      'that Twilio refuses for good',
      answerWith(400, errorBody(400, 21211, 'Invalid number +12065550199')),
      'info',
      { outcome: 'rejected', errorCode: 21211, status: 'failed', reason: expect.stringContaining('21211') },
    ],
    [
      'that Twilio refuses, to be retried',
      answerWith(400, errorBody(400, 21611, 'Queue full')),
      'info',
      { outcome: 'rejected', errorCode: 21611, status: 'retrying', nextRetryAt: expect.any(Date) },
    ],
    [
      'that Twilio does not process',
      answerWith(429, errorBody(429, 20429, 'Too many requests')),
      'info',
      { outcome: 'not_processed', status: 'pending', nextRetryAt: expect.any(Date) },
    ],
    [
      'whose outcome is not known',
      (response) => response.destroy(),
      'warn',
      { outcome: 'unknown', status: 'submitting', reason: expect.stringContaining('not known') },
    ],
  ])('%s', async (_what, answer, level, fields) => {
    const { world } = await newWorldWith(answer, UNSCALED)
    const { id } = await world.sender.send(message())
    expect(outcomes(world)).toEqual([
      {
        level,
        message: 'Attempt submitted',
        fields: expect.objectContaining({ messageId: id, attempt: 0, ...fields }),
      },
    ])
    expect(JSON.stringify(world.log)).not.toMatch(/2065550199|Your order/)
  })

  test('by a worker is one line, as are its start and end', async () => {
    const { world } = await newWorldWith(accept, UNSCALED)
    const id = await enqueue(world)
    const worker = await newWorker(world)
    await waitForStatus(world, id, 'queued')
    await worker.stop()
    expect(outcomes(world)).toEqual([expect.objectContaining({ message: 'Attempt submitted' })])
    const ofWorker = world.log.filter(({ level, message: text }) => level === 'info' && /Worker/.test(text))
    expect(ofWorker.map(({ message: text }) => text)).toEqual([
      'Worker waits for due attempts',
      'Worker has stopped',
    ])
  })

  test('outside its send window says why it waits, and until when', async () => {
    const { world } = await newWorldWith(accept, UNSCALED)
    const id = await enqueue(world)
    const inHours = (hours: number): string =>
      new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16)
    const hours = { send_window: `${inHours(2)}-${inHours(3)}`, time_zone: 'UTC' }
    await world.database.query('update sms_usage_logs set sms_metadata = sms_metadata || $1::jsonb', [
      JSON.stringify(hours),
    ])
    const worker = await newWorker(world)
    const line = await waitFor('the line', async () =>
      world.log.find(({ message: text }) => text === 'A due attempt was not made'),
    )
    await worker.stop()
    expect(line).toMatchObject({
      level: 'info',
      fields: {
        messageId: id,
        attempt: 0,
        status: 'pending',
        reason: expect.stringMatching(/^It waits for its send window/),
        nextRetryAt: expect.any(Date),
      },
    })
  })

  test('with an outdated claim says why', async () => {
    const { world } = await newWorldWith(accept, UNSCALED)
    const id = await enqueue(world, { validForSeconds: 3600 })
    await world.database.query(
      `update sms_usage_logs set sms_metadata = sms_metadata || '{"deadline": "2026-01-01T00:00:00.000Z"}'`,
    )
    const worker = await newWorker(world)
    await waitForStatus(world, id, 'expired')
    await worker.stop()
    expect(outcomes(world)).toEqual([
      {
        level: 'info',
        message: 'A due attempt was not made',
        fields: expect.objectContaining({ messageId: id, attempt: 0, status: 'expired' }),
      },
    ])
  })

  test('is not repeated for a repeated idempotency key', async () => {
    const { world } = await newWorldWith(accept, UNSCALED)
    await world.sender.send(message({ idempotencyKey: 'order-1' }))
    const before = outcomes(world).length
    await world.sender.send(message({ idempotencyKey: 'order-1' }))
    expect(outcomes(world)).toHaveLength(before)
  })
})

describe('the log line of a status callback', () => {
  test.each<[what: string, status: string, code: string | undefined, fields: object | null]>([
    ['of a delivery', 'delivered', undefined, { status: 'delivered' }],
    ['of a failure that is retried', 'undelivered', '30003', { status: 'retrying', errorCode: 30003 }],
    ['of a failure for good', 'undelivered', '30007', { status: 'undelivered', errorCode: 30007 }],
    ['of progress does not exist', 'sent', undefined, null],
  ])('%s', async (_what, status, code, fields) => {
    const sid = newSid()
    const { world } = await newWorldWith(answerWith(201, createdMessage({ sid })), UNSCALED)
    const { id } = await world.sender.send(message())
    const before = outcomes(world).length
    // The second callback is not new.
    for (const _ of [1, 2]) expect((await postCallback(world, id, sid, status, code)).status).toBe(204)
    expect(outcomes(world).slice(before)).toEqual(
      fields === null
        ? []
        : [
            {
              level: 'info',
              message: 'Status callback recorded',
              fields: expect.objectContaining({ messageId: id, attempt: 0, sid, ...fields }),
            },
          ],
    )
  })

  test('without our query has message and attempt as well', async () => {
    const sid = newSid()
    const { world } = await newWorldWith(answerWith(201, createdMessage({ sid })), UNSCALED)
    const { id } = await world.sender.send(message())
    const { TWILIO_ACCOUNT_SID: account = '', TWILIO_AUTH_TOKEN: token = '' } = world.env
    const url = `${world.env['PUBLIC_BASE_URL']}/twilio/status`
    await postSigned(token, url, callbackFields(account, sid, 'delivered'))
    const line = await waitFor('the line', () => world.log.find(({ message: text }) => /recorded/.test(text)))
    expect(line.fields).toMatchObject({ messageId: id, attempt: 0 })
  })
})
