// Changing the auth token while the simulator runs.
import { describe, expect, test } from '@jest/globals'
import twilio from 'twilio'
import { clientOf, FROM, receive, rejectionOf, simulate, TO } from './with-simulator.ts'
import { waitFor } from './start-receiver.ts'

const NEXT = 'the next token'

describe('after the auth token was changed', () => {
  test('requests need the new token, and an API key stays valid', async () => {
    const { simulator, client } = await simulate({ apiKeySid: 'SKtest', apiKeySecret: 'secret' })
    const send = (by: typeof client) => by.messages.create({ to: TO, from: FROM, body: 'Hello' })
    await send(client)
    simulator.setAuthToken(NEXT)
    expect(simulator.authToken).toBe(NEXT)
    expect(await rejectionOf(send(client))).toMatchObject({ status: 401, code: 20003 })
    expect((await send(clientOf(simulator))).status).toBe('queued')
    const byKey = twilio('SKtest', 'secret', { accountSid: simulator.accountSid })
    byKey.api.baseUrl = simulator.url
    expect((await send(byKey)).status).toBe('queued')
  })

  test('requests may use the secondary token until it is removed, and it signs no callbacks', async () => {
    const receiver = await receive()
    const { simulator, client } = await simulate()
    const { authToken } = simulator
    const send = (by: typeof client) =>
      by.messages.create({ to: TO, from: FROM, body: 'Hello', statusCallback: receiver.url })
    simulator.setAuthToken(NEXT, authToken)
    await send(client)
    await send(clientOf(simulator))
    await simulator.idle()
    expect(receiver.received.length).toBeGreaterThan(0)
    for (const { headers, path, fields } of receiver.received) {
      const signature = String(headers['x-twilio-signature'])
      expect(twilio.validateRequest(NEXT, signature, receiver.url + path, fields)).toBe(true)
    }
    simulator.setAuthToken(NEXT)
    expect(await rejectionOf(send(client))).toMatchObject({ status: 401, code: 20003 })
    expect((await send(clientOf(simulator))).status).toBe('queued')
  })

  test('callbacks are signed with the new token, also those of earlier messages', async () => {
    const receiver = await receive()
    const { simulator, client } = await simulate({ authToken: 'the first token', callbackDelayMs: 100 })
    await client.messages.create({ to: TO, from: FROM, body: 'Hello', statusCallback: receiver.url })
    await waitFor('the first callback', () => receiver.received.length === 1)
    simulator.setAuthToken(NEXT)
    await simulator.idle()
    const signedBy = (token: string) =>
      receiver.received.map(({ headers, path, fields }) =>
        twilio.validateRequest(token, String(headers['x-twilio-signature']), receiver.url + path, fields),
      )
    expect(signedBy('the first token')).toEqual([true, false])
    expect(signedBy(NEXT)).toEqual([false, true])
  })

  test('a retry of a running callback is signed with the new token', async () => {
    const receiver = await receive((response) => {
      if (receiver.received.length === 1) simulator.setAuthToken(NEXT)
      response.writeHead(receiver.received.length === 1 ? 503 : 204).end()
    })
    const { simulator, client } = await simulate()
    const statusCallback = `${receiver.url}/#rp=5xx`
    await client.messages.create({ to: '+15553000101', from: FROM, body: 'Hello', statusCallback })
    await simulator.idle()
    const valid = receiver.received.map(({ headers, path, fields }) =>
      twilio.validateRequest(NEXT, String(headers['x-twilio-signature']), receiver.url + path, fields),
    )
    expect(valid).toEqual([false, true])
  })

  test('the first page does not show the new token', async () => {
    const { simulator } = await simulate()
    const page = async () => (await fetch(simulator.url)).text()
    const wellKnown = simulator.authToken
    expect(await page()).toContain(`TWILIO_AUTH_TOKEN=${wellKnown}`)
    simulator.setAuthToken(NEXT)
    const text = await page()
    expect(text).not.toContain(NEXT)
    expect(text).not.toContain(wellKnown)
  })
})

test('an empty token is rejected, and the old one stays', async () => {
  const { simulator, client } = await simulate()
  expect(() => simulator.setAuthToken('')).toThrow(RangeError)
  expect((await client.messages.create({ to: TO, from: FROM, body: 'Hello' })).status).toBe('queued')
})
