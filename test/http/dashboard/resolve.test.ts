// The page on which a person settles a message in doubt, with the simulator in Twilio's place.
import { expect, test } from '@jest/globals'
import { newTimedWorld, sendWith, type TimedWorld } from '../../support/timed-world.ts'
import { rowOf } from '../../support/world-with.ts'
import { CREDENTIALS, formOf, get, post } from './operator.ts'

/** A message in doubt, whether Twilio has it or not. */
async function inDoubt(
  chaos: Parameters<typeof sendWith>[1],
): Promise<{ world: TimedWorld; id: number; form: Record<string, string> }> {
  const world = await newTimedWorld({}, CREDENTIALS)
  const id = await sendWith(world, chaos)
  expect((await get(world.web, `/messages/${id}`)).text).not.toContain('/resolve')
  await world.pass(46)
  expect((await get(world.web, `/messages/${id}`)).text).toContain(`/messages/${id}/resolve`)
  const page = await get(world.web, `/messages/${id}/resolve`)
  expect(page.status).toBe(200)
  return { world, id, form: formOf(page) }
}

test('a message that Twilio has is adopted by its sid', async () => {
  const { world, id, form } = await inDoubt({ hang: 1 })
  const sid = world.simulator.messages()[0]?.sid ?? ''
  const { status, headers } = await post(world.web, `/messages/${id}/resolve`, { ...form, sid: ` ${sid} ` })
  expect([status, headers.get('Location')]).toEqual([303, `/messages/${id}?notice=resolve`])
  expect(await rowOf(world, id)).toMatchObject({ twilio_message_sid: sid })
  expect(world.log.find(({ message }) => message.startsWith('A person resolved'))?.fields).toMatchObject({
    ...{ messageId: id, by: 'operator', statement: 'adopt', sid },
  })
})

test('a message that Twilio does not have is sent again once, however often the form is submitted', async () => {
  const { world, id, form } = await inDoubt({ hangBefore: 1 })
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => post(world.web, `/messages/${id}/resolve`, { ...form, sid: '' })),
  )
  expect(answers.map(({ status }) => status).toSorted()).toEqual([303, 409, 409, 409, 409])
  const row = await rowOf(world, id)
  expect(row).toMatchObject({
    ...{ final_status: 'pending', error_message: 'Twilio does not have the message, says operator' },
  })
  expect(row.sms_metadata.attempts).toMatchObject([{ number: 0, status: 'pending', postponements: 1 }])
})

test('a statement that contradicts Twilio, and a form that is not the page’s, change nothing', async () => {
  const { world, id, form } = await inDoubt({ hang: 1 })
  const path = `/messages/${id}/resolve`
  const wrong = await post(world.web, path, { ...form, sid: `SM${'0'.repeat(32)}` })
  expect(wrong.status).toBe(409)
  expect(wrong.text).toMatch(/has no message with this sid/)
  for (const [fields, headers] of [
    [{ ...form, sid: 'SM1' }, {}],
    [{ ...form, sid: '', key: 'x' }, {}],
    [{ ...form, sid: '', attempt: 'x' }, {}],
    [{ ...form, sid: '', claimedAt: 'yesterday' }, {}],
    [{ ...form, sid: '' }, { 'Sec-Fetch-Site': 'cross-site' }],
    [{}, {}],
  ] as const)
    expect((await post(world.web, path, fields, headers)).status).toBe(403)
  const earlier = { ...form, sid: '', claimedAt: '2026-01-01T00:00:00.000Z' }
  expect((await post(world.web, path, earlier)).text).toContain('it is no longer in doubt')
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting', twilio_message_sid: null })
})
