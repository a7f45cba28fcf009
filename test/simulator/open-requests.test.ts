// The number of open requests.
import { describe, expect, test } from '@jest/globals'
import { waitFor } from './start-receiver.ts'
import { clientOf, FROM, postForm, rejectionOf, simulate, TO } from './with-simulator.ts'

const FORM = { To: TO, From: FROM, Body: 'Hello' }

describe('open requests', () => {
  test('are none before and after answered, refused and unauthorized requests', async () => {
    const { simulator, client } = await simulate()
    expect(simulator.openRequests()).toBe(0)
    await postForm(simulator, FORM)
    await client.messages.list()
    await postForm(simulator, { ...FORM, To: '+15552161001' })
    await fetch(`${simulator.url}/2010-04-01/Accounts/${simulator.accountSid}/Messages.json`)
    await waitFor('no open request', () => simulator.openRequests() === 0)
  })

  test.each([
    'hang',
    'hangBefore',
  ] as const)('include requests with the fault %s until they are closed', async (name) => {
    const { simulator } = await simulate({ chaos: { [name]: 1 }, hangMs: 500 })
    const first = rejectionOf(postForm(simulator, FORM))
    const second = rejectionOf(postForm(simulator, FORM))
    await waitFor('two open requests', () => simulator.openRequests() === 2)
    await Promise.all([first, second])
    await waitFor('no open request', () => simulator.openRequests() === 0)
  })

  test('include requests until the client disconnects', async () => {
    const { simulator } = await simulate({ chaos: { hang: 1 } })
    const hasty = clientOf(simulator, { timeout: 200 })
    const rejected = rejectionOf(hasty.messages.create({ to: TO, from: FROM, body: 'Hello' }))
    await waitFor('an open request', () => simulator.openRequests() === 1)
    await rejected
    await waitFor('no open request', () => simulator.openRequests() === 0)
  })

  test('include slow requests until they are answered, and no reset ones', async () => {
    const { simulator } = await simulate({ chaos: { slow: 1 }, slowMs: 300 })
    const slow = postForm(simulator, FORM)
    await waitFor('an open request', () => simulator.openRequests() === 1)
    expect((await slow).status).toBe(201)
    await waitFor('no open request', () => simulator.openRequests() === 0)
    simulator.setChaos({ slow: 0, reset: 1 })
    await rejectionOf(postForm(simulator, FORM))
    await waitFor('no open request', () => simulator.openRequests() === 0)
  })

  test('exclude pages and inspection, and end with close()', async () => {
    const { simulator } = await simulate({ chaos: { hang: 1 } })
    const rejected = rejectionOf(postForm(simulator, FORM))
    await waitFor('an open request', () => simulator.openRequests() === 1)
    await fetch(`${simulator.url}/simulator/messages`)
    expect(simulator.openRequests()).toBe(1)
    await simulator.close()
    await rejected
    await waitFor('no open request', () => simulator.openRequests() === 0)
  })
})
