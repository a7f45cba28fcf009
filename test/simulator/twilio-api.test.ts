// Create and fetch as the real twilio package sees them.
import { describe, expect, test } from '@jest/globals'
import twilio from 'twilio'
import type { Simulator } from '../../src/simulator/simulator.ts'
import { basicAuth, FROM, postForm, rejectionOf, simulate, TO } from './with-simulator.ts'

const SERVICE = `MG${'0'.repeat(32)}`

describe('a created message', () => {
  test('from a number is answered with 201 and the full resource, queued', async () => {
    const { simulator } = await simulate()
    const { status, body } = await postForm(simulator, { To: TO, From: FROM, Body: 'Hello' })
    const path = `/2010-04-01/Accounts/${simulator.accountSid}/Messages/${body.sid}`
    const rfc2822 = expect.stringMatching(/^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} \+0000$/)
    expect(status).toBe(201)
    expect(body).toEqual({
      account_sid: simulator.accountSid,
      api_version: '2010-04-01',
      body: 'Hello',
      date_created: rfc2822,
      date_sent: null,
      date_updated: rfc2822,
      direction: 'outbound-api',
      error_code: null,
      error_message: null,
      from: FROM,
      messaging_service_sid: null,
      num_media: '0',
      num_segments: '1',
      price: null,
      price_unit: 'USD',
      sid: expect.stringMatching(/^SM[0-9a-f]{32}$/),
      status: 'queued',
      subresource_uris: { media: `${path}/Media.json` },
      to: TO,
      uri: `${path}.json`,
    })
  })

  test('from a Messaging Service is accepted without a sender, and gets one when it is sent', async () => {
    const { simulator, client } = await simulate()
    const created = await client.messages.create({ to: TO, messagingServiceSid: SERVICE, body: 'Hello' })
    expect(created).toMatchObject({
      status: 'accepted',
      from: null,
      numSegments: '0',
      messagingServiceSid: SERVICE,
    })
    await simulator.idle()
    expect(await client.messages(created.sid).fetch()).toMatchObject({
      status: 'delivered',
      from: '+15005550006',
      numSegments: '1',
    })
  })

  test('reaches its final status also without a StatusCallback', async () => {
    const { simulator, client } = await simulate()
    const { sid } = await client.messages.create({ to: TO, from: FROM, body: 'Hello' })
    await simulator.idle()
    const fetched = await client.messages(sid).fetch()
    expect(fetched.status).toBe('delivered')
    expect(fetched.dateSent).toBeInstanceOf(Date)
    expect(fetched.dateCreated).toBeInstanceOf(Date)
    expect(simulator.callbacks()).toEqual([])
  })
})

describe('the account', () => {
  test('is read with its auth token, and has the status of the options', async () => {
    const { simulator, client } = await simulate({ accountStatus: 'suspended', isTrial: true })
    expect(await client.api.v2010.accounts(simulator.accountSid).fetch()).toMatchObject({
      sid: simulator.accountSid,
      status: 'suspended',
      type: 'Trial',
      authToken: simulator.authToken,
    })
    const { client: other } = await simulate()
    expect(await other.api.v2010.accounts(simulator.accountSid).fetch()).toMatchObject({
      status: 'active',
      type: 'Full',
    })
  })

  test('is not shown to an API key, and another account is 404', async () => {
    const { simulator, client } = await simulate({ apiKeySid: 'SKtest', apiKeySecret: 'secret' })
    const byKey = twilio('SKtest', 'secret', { accountSid: simulator.accountSid })
    byKey.api.baseUrl = simulator.url
    const read = (by: typeof client, sid: string) => by.api.v2010.accounts(sid).fetch()
    expect(await rejectionOf(read(byKey, simulator.accountSid))).toMatchObject({ status: 401, code: 20003 })
    expect(await rejectionOf(read(client, `AC${'9'.repeat(32)}`))).toMatchObject({ status: 404, code: 20404 })
  })
})

describe('validation', () => {
  const good = { To: TO, From: FROM, Body: 'Hello' }
  const { To: _to, ...withoutTo } = good
  const { From: _from, ...withoutFrom } = good
  const { Body: _body, ...withoutBody } = good

  test.each<[what: string, fields: Record<string, string>, code: number]>([
    ['no To', withoutTo, 21604],
    ['an empty To', { ...good, To: '' }, 21604],
    ['To without a plus', { ...good, To: '14155550100' }, 21211],
    ['To that is not a number', { ...good, To: 'somebody' }, 21211],
    ['To on another channel', { ...good, To: 'whatsapp:+14155550100' }, 21211],
    ['no Body', withoutBody, 21602],
    ['1601 characters', { ...good, Body: 'x'.repeat(1601) }, 21617],
    ['neither From nor service', withoutFrom, 21603],
    ['From that is not E.164', { ...good, From: '0800 555' }, 21212],
    ['a StatusCallback without a host', { ...good, StatusCallback: '/twilio/status' }, 21609],
    ['a StatusCallback that is not http', { ...good, StatusCallback: 'ftp://example.com/' }, 21609],
    [
      'a StatusCallback of 4001 characters',
      { ...good, StatusCallback: `http://a/${'x'.repeat(3992)}` },
      21609,
    ],
    ['ValidityPeriod 0', { ...good, ValidityPeriod: '0' }, 21624],
    ['ValidityPeriod 36001', { ...good, ValidityPeriod: '36001' }, 21624],
    ['ValidityPeriod 1.5', { ...good, ValidityPeriod: '1.5' }, 21624],
  ])('%s is refused', async (_what, fields, code) => {
    const { simulator } = await simulate()
    const { status, body } = await postForm(simulator, fields)
    expect(status).toBe(400)
    expect(body).toEqual({
      code,
      message: expect.stringMatching(/\w/),
      more_info: `https://www.twilio.com/docs/errors/${code}`,
      status: 400,
    })
    expect(simulator.messages()).toEqual([])
  })

  test.each<[what: string, fields: Record<string, string>]>([
    ['1600 characters', { ...good, Body: 'x'.repeat(1600) }],
    ['ValidityPeriod 1', { ...good, ValidityPeriod: '1' }],
    ['ValidityPeriod 36000', { ...good, ValidityPeriod: '36000' }],
    ['a StatusCallback on localhost', { ...good, StatusCallback: 'http://localhost:9/x' }],
  ])('%s is accepted', async (_what, fields) => {
    const { simulator } = await simulate()
    expect((await postForm(simulator, fields)).status).toBe(201)
  })

  test('the twilio package throws a RestException for a refusal', async () => {
    const { client } = await simulate()
    const error = await rejectionOf(client.messages.create({ to: '123', from: FROM, body: 'Hello' }))
    expect(error).toBeInstanceOf(twilio.RestException)
    expect(error).toMatchObject({
      status: 400,
      code: 21211,
      moreInfo: 'https://www.twilio.com/docs/errors/21211',
    })
  })

  test.each<[what: string, init: RequestInit, status: number, code: number]>([
    ['JSON', { headers: { 'Content-Type': 'application/json' }, body: '{"To":"+14155550100"}' }, 400, 21604],
    [
      'an unknown charset',
      { headers: { 'Content-Type': 'application/x-www-form-urlencoded; charset=klingon' }, body: 'To=x' },
      415,
      20001,
    ],
    [
      'more than 100 kB',
      {
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: `Body=${'x'.repeat(200_000)}`,
      },
      413,
      20001,
    ],
  ])('a body that is %s is refused with a JSON error', async (_what, init, status, code) => {
    const { simulator } = await simulate()
    const { accountSid, authToken, url } = simulator
    const response = await fetch(`${url}/2010-04-01/Accounts/${accountSid}/Messages.json`, {
      ...init,
      method: 'POST',
      headers: { ...init.headers, Authorization: basicAuth(accountSid, authToken) },
    })
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ code, status })
  })
})

describe('authorization', () => {
  const send = (client: ReturnType<typeof twilio>, { url }: Simulator) => {
    client.api.baseUrl = url
    return client.messages.create({ to: TO, from: FROM, body: 'Hello' })
  }

  test('includes an API key if one is configured', async () => {
    const { simulator } = await simulate({ apiKeySid: 'SKtest', apiKeySecret: 'secret' })
    const byKey = twilio('SKtest', 'secret', { accountSid: simulator.accountSid })
    expect((await send(byKey, simulator)).status).toBe('queued')
    expect((await send(twilio(simulator.accountSid, simulator.authToken), simulator)).status).toBe('queued')
  })

  test.each([
    ['a wrong auth token', (sid: string) => twilio(sid, 'wrong')],
    ['an unknown API key', (sid: string) => twilio('SKother', 'secret', { accountSid: sid })],
    ['a wrong API key secret', (sid: string) => twilio('SKtest', 'wrong', { accountSid: sid })],
  ])('excludes %s, with 401 and code 20003', async (_what, makeClient) => {
    const { simulator } = await simulate({ apiKeySid: 'SKtest', apiKeySecret: 'secret' })
    const error = await rejectionOf(send(makeClient(simulator.accountSid), simulator))
    expect(error).toMatchObject({ status: 401, code: 20003 })
    expect(simulator.messages()).toEqual([])
  })

  test('excludes requests without credentials, with 401 and code 20003', async () => {
    const { simulator } = await simulate()
    const response = await fetch(`${simulator.url}/2010-04-01/Accounts/${simulator.accountSid}/Messages.json`)
    expect(response.status).toBe(401)
    expect(await response.json()).toMatchObject({ code: 20003, status: 401 })
  })

  test('another account, an unknown message and an unknown resource are 404 with code 20404', async () => {
    const { simulator, client } = await simulate()
    const otherAccount = twilio(simulator.accountSid, simulator.authToken, {
      accountSid: `AC${'9'.repeat(32)}`,
    })
    const notFound = { status: 404, code: 20404 }
    expect(await rejectionOf(send(otherAccount, simulator))).toMatchObject(notFound)
    expect(await rejectionOf(client.messages(`SM${'0'.repeat(32)}`).fetch())).toMatchObject(notFound)
    expect(await rejectionOf(client.calls.list())).toMatchObject(notFound)
  })
})
