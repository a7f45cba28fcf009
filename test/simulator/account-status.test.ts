// An account that is suspended or closed while the simulator runs, and active again.
import { describe, expect, test } from '@jest/globals'
import type { Simulator } from '../../src/simulator/simulator.ts'
import { waitFor } from './start-receiver.ts'
import { FROM, postForm, receive, rejectionOf, simulate, TO } from './with-simulator.ts'

const FORM = { To: TO, From: FROM, Body: 'Hello' }

describe('while the account is suspended', () => {
  test('messages are refused with 10001, until it is active again', async () => {
    const { simulator, client } = await simulate()
    const send = () => client.messages.create({ to: TO, from: FROM, body: 'Hello' })
    simulator.setAccountStatus('suspended')
    expect(simulator.accountStatus).toBe('suspended')
    expect(await rejectionOf(send())).toMatchObject({
      status: 400,
      code: 10001,
      message: 'Account is not active',
      moreInfo: 'https://www.twilio.com/docs/errors/10001',
    })
    expect(simulator.messages()).toMatchObject([{ answer: 'refused', status: 'failed', error_code: 10001 }])
    simulator.setAccountStatus('active')
    expect((await send()).status).toBe('queued')
  })

  test('a queued message fails with 30002 by callback, and a message that was sent is delivered', async () => {
    const receiver = await receive()
    const { simulator } = await simulate({ callbackDelayMs: 200 })
    const post = (Body: string) => postForm(simulator, { ...FORM, Body, StatusCallback: receiver.url })
    await post('sent')
    await waitFor('the first callback', () => receiver.received.length === 1)
    await post('queued')
    simulator.setAccountStatus('suspended')
    await simulator.idle()
    expect(simulator.messages()).toMatchObject([
      { body: 'sent', status: 'delivered', error_code: null },
      { body: 'queued', status: 'failed', error_code: 30002, error_message: 'Account suspended' },
    ])
    const queued = simulator.messages().at(-1)
    const reports = receiver.received.filter(({ fields }) => fields['MessageSid'] === queued?.sid)
    expect(reports.map(({ fields }) => fields)).toMatchObject([
      { MessageStatus: 'failed', ErrorCode: '30002' },
    ])
  })

  test('its status and earlier messages can be read', async () => {
    const { simulator, client } = await simulate()
    const { sid } = await client.messages.create({ to: TO, from: FROM, body: 'Hello' })
    simulator.setAccountStatus('suspended')
    expect((await client.messages(sid).fetch()).sid).toBe(sid)
    expect(await client.messages.list()).toMatchObject([{ sid }])
    expect(await client.api.v2010.accounts(simulator.accountSid).fetch()).toMatchObject({
      status: 'suspended',
    })
  })

  test('a number whose script refuses the attempt is refused with the code of the account', async () => {
    const { simulator } = await simulate({ accountStatus: 'suspended' })
    const post = () => postForm(simulator, { ...FORM, To: '+15552161099' })
    expect((await post()).body.code).toBe(10001)
    simulator.setAccountStatus('active')
    expect((await post()).body.code).toBe(21610)
  })

  test('the faults of a seed are the same as for an active account', async () => {
    const answers = async (accountStatus: 'active' | 'suspended') => {
      const { simulator } = await simulate({ accountStatus, seed: 4, chaos: { rateLimit: 0.3 } })
      for (let index = 0; index < 20; index += 1) await postForm(simulator, { ...FORM, Body: `${index}` })
      return simulator.messages().map(({ answer }) => answer.replace('refused', 'accepted'))
    }
    const whileActive = await answers('active')
    expect(new Set(whileActive)).toEqual(new Set(['accepted', 'rate_limited']))
    expect(await answers('suspended')).toEqual(whileActive)
  })
})

test('a closed account refuses messages with 20003, HTTP 401', async () => {
  const { simulator } = await simulate()
  simulator.setAccountStatus('closed')
  expect(await postForm(simulator, FORM)).toMatchObject({ status: 401, body: { code: 20003 } })
})

describe('the account of the simulator, by HTTP,', () => {
  test('is suspended and activated, and the first page shows the commands', async () => {
    const { simulator } = await simulate()
    const firstPage = async () => (await fetch(simulator.url)).text()
    expect(await readStatus(simulator)).toEqual({ status: 'active' })
    expect(await changeStatus(simulator, 'status=suspended')).toEqual([200, { status: 'suspended' }])
    expect(await readStatus(simulator)).toEqual({ status: 'suspended' })
    expect((await postForm(simulator, FORM)).body.code).toBe(10001)
    expect(await firstPage()).toContain('The account is suspended')
    expect(await firstPage()).toContain(`curl -d status=active ${simulator.url}/simulator/account`)
    expect(await changeStatus(simulator, 'status=active')).toEqual([200, { status: 'active' }])
    expect((await postForm(simulator, FORM)).status).toBe(201)
  })

  test.each([
    'status=paused',
    'status=',
    'state=suspended',
    '',
  ])('keeps its status if it is sent "%s"', async (body) => {
    const { simulator } = await simulate({ accountStatus: 'suspended' })
    expect(await changeStatus(simulator, body)).toEqual([
      400,
      { error: 'accountStatus must be one of: active, suspended, closed' },
    ])
    expect(simulator.accountStatus).toBe('suspended')
  })
})

function readStatus({ url }: Simulator): Promise<unknown> {
  return fetch(`${url}/simulator/account`).then((response) => response.json())
}

async function changeStatus({ url }: Simulator, body: string): Promise<[number, unknown]> {
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
  const response = await fetch(`${url}/simulator/account`, { method: 'POST', headers, body })
  return [response.status, await response.json()]
}
