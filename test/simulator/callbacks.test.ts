// Status callbacks as a receiver sees them, without faults: signature, fields, order, load.
import http from 'node:http'
import { describe, expect, test } from '@jest/globals'
import twilio from 'twilio'
import { FROM, postForm, receive, simulate, TO } from './with-simulator.ts'
import { waitFor } from './start-receiver.ts'

describe('a receiver', () => {
  test.each([
    ['delivered', TO, ['sent', 'delivered'], undefined],
    ['undelivered', '+15553000301', ['sent', 'undelivered'], '30003'],
    ['failed', '+15553000101', ['failed'], '30001'],
  ])('gets the callbacks of a message that is %s', async (_what, to, statuses, errorCode) => {
    const receiver = await receive()
    const { simulator, client } = await simulate({ callbackDelayMs: 20 })
    const statusCallback = `${receiver.url}/twilio/status?message=1&attempt=0`
    const { sid } = await client.messages.create({ to, from: FROM, body: 'Hello', statusCallback })
    await simulator.idle()

    expect(receiver.statuses()).toEqual(statuses)
    for (const { fields } of receiver.received) {
      const final = fields['MessageStatus'] !== 'sent'
      expect(fields).toEqual({
        AccountSid: simulator.accountSid,
        MessageSid: sid,
        SmsSid: sid,
        MessageStatus: fields['MessageStatus'],
        SmsStatus: fields['MessageStatus'],
        From: FROM,
        To: to,
        ApiVersion: '2010-04-01',
        ...(final ? { RawDlrDoneDate: expect.stringMatching(/^\d{10}$/) } : {}),
        ...(final && errorCode !== undefined ? { ErrorCode: errorCode } : {}),
      })
    }
  })

  test('gets the headers and signature of Twilio, and no fragment', async () => {
    const receiver = await receive()
    const { simulator, client } = await simulate({ authToken: 'a token of our own' })
    const path = "/twilio/status?message=1&attempt=0&name=J%C3%BCrgen%20O'Neill"
    await client.messages.create({
      to: TO,
      from: FROM,
      body: 'Hello',
      statusCallback: `${receiver.url}${path}#rc=5&rp=all`,
    })
    await simulator.idle()
    expect(receiver.received).toHaveLength(2)
    for (const callback of receiver.received) {
      expect(callback.method).toBe('POST')
      expect(callback.path).not.toContain('#')
      expect(callback.headers).toMatchObject({
        'content-type': 'application/x-www-form-urlencoded; charset=UTF-8',
        'user-agent': 'TwilioProxy/1.1',
        'i-twilio-idempotency-token': expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      })
      const signature = String(callback.headers['x-twilio-signature'])
      const url = `${receiver.url}${callback.path}`
      expect(twilio.validateRequest('a token of our own', signature, url, callback.fields)).toBe(true)
      expect(twilio.validateRequest('another token', signature, url, callback.fields)).toBe(false)
      const forged = { ...callback.fields, MessageStatus: 'read' }
      expect(twilio.validateRequest('a token of our own', signature, url, forged)).toBe(false)
    }
  })

  test('gets the Messaging Service and the sender it picked', async () => {
    const receiver = await receive()
    const { simulator, client } = await simulate()
    const messagingServiceSid = `MG${'0'.repeat(32)}`
    await client.messages.create({ to: TO, messagingServiceSid, body: 'Hello', statusCallback: receiver.url })
    await simulator.idle()
    expect(receiver.received[0]?.fields).toMatchObject({
      MessagingServiceSid: messagingServiceSid,
      From: '+15005550006',
    })
  })

  test('gets callbacks after the POST was answered, even without delay', async () => {
    let answered = false
    const answeredBefore: boolean[] = []
    const receiver = await receive((response) => {
      answeredBefore.push(answered)
      response.writeHead(204).end()
    })
    const { simulator } = await simulate({ callbackDelayMs: 0 })
    for (let round = 0; round < 20; round += 1) {
      answered = false
      await new Promise<void>((resolve, reject) => {
        const request = http.request(
          `${simulator.url}/2010-04-01/Accounts/${simulator.accountSid}/Messages.json`,
          {
            method: 'POST',
            auth: `${simulator.accountSid}:${simulator.authToken}`,
            headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
          },
        )
        // The first byte counts, because parsing the answer may take longer than a callback.
        request.on('response', (response) => {
          answered = true
          response.resume().on('end', resolve)
        })
        request.on('error', reject)
        request.end(
          String(new URLSearchParams({ To: TO, From: FROM, Body: 'Hello', StatusCallback: receiver.url })),
        )
      })
      await simulator.idle()
    }
    expect(answeredBefore).toEqual(Array(40).fill(true))
  })
})

test('at most 64 callbacks are sent concurrently, and all arrive', async () => {
  let open = 0
  let mostOpen = 0
  const held: (() => void)[] = []
  const receiver = await receive((response) => {
    open += 1
    mostOpen = Math.max(mostOpen, open)
    held.push(() => {
      open -= 1
      response.writeHead(204).end()
    })
  })
  const { simulator } = await simulate()
  for (let index = 0; index < 100; index += 1) {
    await postForm(simulator, {
      To: '+15553000101',
      From: FROM,
      Body: `${index}`,
      StatusCallback: receiver.url,
    })
  }
  await waitFor('64 callbacks under way', () => open === 64)
  expect(simulator.callbacks()).toHaveLength(64)
  while (held.length > 0 || receiver.received.length < 100) {
    for (const release of held.splice(0)) release()
    await waitFor('the next callbacks', () => held.length > 0 || receiver.received.length === 100)
  }
  await simulator.idle()
  expect(mostOpen).toBe(64)
  expect(receiver.received).toHaveLength(100)
})
