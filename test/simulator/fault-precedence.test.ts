// Which of several faults happens, the faults of GETs, and the Retry-After of a 429.
import { describe, expect, test } from '@jest/globals'
import { type ChaosChange, drawFaults, NO_CHAOS } from '../../src/simulator/chaos.ts'
import { createRandom } from '../../src/simulator/seeded-random.ts'
import { FROM, postForm, rejectionOf, simulate, TO } from './with-simulator.ts'

describe('faults of GETs', () => {
  test('lookupError answers fetch and list with 500, and does not affect POSTs', async () => {
    const { simulator, client } = await simulate({ chaos: { lookupError: 1 } })
    const { sid } = await client.messages.create({ to: TO, from: FROM, body: 'Hello' })
    const error = { status: 500, code: 20500 }
    expect(await rejectionOf(client.messages(sid).fetch())).toMatchObject(error)
    expect(await rejectionOf(client.messages.list())).toMatchObject(error)
    simulator.setChaos({ lookupError: 0 })
    expect((await client.messages(sid).fetch()).sid).toBe(sid)
  })

  test('lookupPage answers fetch and list with a proxy page', async () => {
    const { simulator, client } = await simulate({ chaos: { lookupPage: 1 } })
    const { sid } = await client.messages.create({ to: TO, from: FROM, body: 'Hello' })
    for (const ask of [() => client.messages(sid).fetch(), () => client.messages.list()]) {
      const error = await rejectionOf(ask())
      expect(error).toMatchObject({ status: expect.any(Number) })
      expect(error).not.toHaveProperty('code', expect.any(Number))
    }
    simulator.setChaos({ lookupPage: 0 })
    expect((await client.messages(sid).fetch()).sid).toBe(sid)
  })

  test('repeat for one seed, and do not change the faults of POSTs', async () => {
    const run = async (withGets: boolean) => {
      const { simulator, client } = await simulate({ seed: 3, chaos: { serverError: 0.5, lookupError: 0.5 } })
      const gets: string[] = []
      for (let index = 0; index < 20; index += 1) {
        await postForm(simulator, { To: TO, From: FROM, Body: `${index}` })
        if (withGets)
          gets.push(
            await client.messages.list().then(
              () => 'ok',
              () => 'error',
            ),
          )
      }
      return { gets, answers: simulator.messages().map(({ answer }) => answer) }
    }
    const first = await run(true)
    expect(new Set(first.gets)).toEqual(new Set(['ok', 'error']))
    expect(await run(true)).toEqual(first)
    expect((await run(false)).answers).toEqual(first.answers)
  })
})

describe('with several faults for one request', () => {
  const inOrder: [name: keyof ChaosChange, fault: string][] = [
    ['rateLimit', 'rate_limited'],
    ['unavailable', 'unavailable'],
    ['serverError', 'server_error'],
    ['proxyPage', 'proxy_page'],
    ['hangBefore', 'hung_before'],
    ['closeBefore', 'closed_before'],
    ['hang', 'hung'],
    ['reset', 'reset'],
    ['drip', 'dripped'],
    ['serverErrorAfter', 'server_error_after'],
    ['garbage', 'garbage'],
    ['slow', 'slow'],
  ]

  test.each(inOrder)('%s takes precedence over all faults after it', (name, fault) => {
    const names = inOrder.map(([each]) => each)
    const chaos = { ...NO_CHAOS }
    for (const each of names.slice(names.indexOf(name))) chaos[each] = 1
    expect(drawFaults(createRandom(1), chaos).post).toBe(fault)
  })

  test('the first page lists the faults in order of precedence', () => {
    const names = inOrder.map(([name]) => name)
    const listed = Object.keys(NO_CHAOS).filter((name) => names.some((each) => each === name))
    expect(listed).toEqual(names)
  })

  test('the number of random values drawn is always the same', () => {
    const countDraws = (share: number) => {
      let count = 0
      const chaos = { ...NO_CHAOS }
      for (const [each] of inOrder) chaos[each] = share
      drawFaults(() => {
        count += 1
        return 0.5
      }, chaos)
      return count
    }
    expect(countDraws(1)).toBe(countDraws(0))
  })
})

describe('Retry-After', () => {
  test.each([
    ['chaos', TO, { rateLimit: 1 }],
    ['the script', '+15552042901', {}],
  ])('is missing in a 429 by %s if it is null', async (_what, to, chaos) => {
    const { simulator } = await simulate({ chaos, retryAfterSeconds: null })
    const { status, headers } = await postForm(simulator, { To: to, From: FROM, Body: 'Hello' })
    expect([status, headers.get('retry-after')]).toEqual([429, null])
    expect(await (await fetch(simulator.url)).text()).toContain('A 429\nhas no Retry-After')
  })

  test('is one second by default', async () => {
    const { simulator } = await simulate({ chaos: { rateLimit: 1 } })
    const { headers } = await postForm(simulator, { To: TO, From: FROM, Body: 'Hello' })
    expect(headers.get('retry-after')).toBe('1')
  })
})
