// Finding attempts that were accepted twice.
import { describe, expect, test } from '@jest/globals'
import type { Simulator } from '../../src/simulator/simulator.ts'
import { FROM, postForm, simulate, TO } from './with-simulator.ts'

describe('double submissions', () => {
  const submit = async (simulator: Simulator, message: string, attempt: number, to = TO, Body = 'Hello') => {
    const StatusCallback = `http://127.0.0.1:9/?message=${message}&attempt=${attempt}`
    const answer = await postForm(simulator, { To: to, From: FROM, Body, StatusCallback }).catch(() => null)
    return answer?.body.sid
  }

  test('are attempts accepted twice, whatever the answer was', async () => {
    const { simulator } = await simulate({ hangMs: 1 })
    const first = await submit(simulator, '1', 0)
    await submit(simulator, '1', 1)
    await submit(simulator, '2', 0)
    expect(simulator.doubleSubmissions()).toEqual([])
    simulator.setChaos({ hang: 1 })
    await submit(simulator, '1', 0)
    const hungSid = simulator.messages().at(-1)?.sid
    const expected = [{ message: '1', attempt: 0, sids: [first, hungSid] }]
    expect(simulator.doubleSubmissions()).toEqual(expected)
    const shown = await fetch(`${simulator.url}/simulator/messages`)
    expect(await shown.json()).toMatchObject({ double_submissions: expected })
  })

  test('are not two texts of messages with the same id', async () => {
    const { simulator } = await simulate()
    await submit(simulator, '1', 0)
    await submit(simulator, '1', 0, TO, 'Another text')
    expect(simulator.doubleSubmissions()).toEqual([])
  })

  test('are not attempts that were refused, not processed, or not named in the callback URL', async () => {
    const { simulator } = await simulate()
    const refusedOnce = '+15552042901'
    await submit(simulator, '1', 0, refusedOnce)
    await submit(simulator, '1', 0, refusedOnce)
    simulator.setChaos({ serverError: 1 })
    await submit(simulator, '1', 0)
    simulator.setChaos({ serverError: 0 })
    for (let time = 0; time < 2; time += 1) await postForm(simulator, { To: TO, From: FROM, Body: 'Hello' })
    expect(simulator.submissionCounts()).toMatchObject({ accepted: 3, refused: 1, server_error: 1 })
    expect(simulator.doubleSubmissions()).toEqual([])
  })
})
