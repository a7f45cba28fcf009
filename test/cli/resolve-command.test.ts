// The command `resolve`, with a real database and the simulator. test/delivery/in-doubt.test.ts tests which statements are
// refused. Needs dist/.
import { userInfo } from 'node:os'
import { describe, expect, test } from '@jest/globals'
import { newSid } from '../support/callbacks.ts'
import {
  jobsOf,
  newProcess,
  newTimedWorld,
  runDue,
  sendWith,
  type TimedWorld,
} from '../support/timed-world.ts'
import { message, rowOf } from '../support/world-with.ts'
import { type Ended, runCli, runCliProcess } from './run-cli.ts'

const resolve = (world: TimedWorld, id: number, ...flags: string[]): Promise<Ended> =>
  runCli(['resolve', `${id}`, ...flags], world.env)

const sidAt = (world: TimedWorld): string => world.simulator.messages().at(-1)?.sid ?? ''

describe('resolve --sid', () => {
  test('adopts a message that Twilio has, whose callbacks then settle it', async () => {
    const world = await newTimedWorld({ callbackDelayMs: 300 })
    const id = await sendWith(world, { hang: 1 })
    await world.pass(46)
    const sid = sidAt(world)
    const { code, stdout, stderr } = await runCliProcess(['resolve', `${id}`, '--sid', sid], world.env)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(new RegExp(`^message ${id}: (queued|sent|delivered)\\n$`))
    expect(await rowOf(world, id)).toMatchObject({ twilio_message_sid: sid, retry_count: 0 })
    expect(world.simulator.messages()).toHaveLength(1)
  })

  test('refuses a sid that Twilio does not know, or that belongs to another message', async () => {
    const world = await newTimedWorld()
    const other = await world.sender.send(message({ to: '+12065550111' }))
    const otherSid = sidAt(world)
    const id = await sendWith(world, { hang: 1 })
    await world.pass(46)
    const unknown = await resolve(world, id, '--sid', newSid())
    expect(unknown).toMatchObject({ code: 1, stdout: '' })
    expect(unknown.stderr).toMatch(/was not changed: Twilio account AC\w+ has no message with this sid/)
    expect((await resolve(world, id, '--sid', otherSid)).stderr).toBe(
      `Message ${id} was not changed: message ${other.id} has this sid.\n`,
    )
    // The row of the other message is gone, so only Twilio knows that it went to another number.
    await world.database.query('delete from sms_usage_logs where id = $1', [other.id])
    expect((await resolve(world, id, '--sid', otherSid)).stderr).toMatch(/went to another number/)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting', twilio_message_sid: null })
  })

  test('changes nothing if Twilio cannot be asked, and exits with 2 without credentials', async () => {
    const world = await newTimedWorld()
    const id = await sendWith(world, { hang: 1 })
    await world.pass(46)
    world.simulator.setChaos({ lookupError: 1 })
    expect((await resolve(world, id, '--sid', sidAt(world))).stderr).toMatch(/Twilio could not be asked/)
    const { TWILIO_AUTH_TOKEN: _, ...env } = world.env
    expect(await runCli(['resolve', `${id}`, '--sid', sidAt(world)], env)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('TWILIO_AUTH_TOKEN is required'),
    })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting' })
  })
})

describe('resolve --not-sent', () => {
  test('makes the same attempt again, and the row names the person', async () => {
    const world = await newTimedWorld()
    const id = await sendWith(world, { hangBefore: 1 })
    await world.pass(46)
    const { code, stdout } = await resolve(world, id, '--not-sent', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ id, outcome: 'done', message: { status: 'pending' } })
    expect((await rowOf(world, id)).error_message).toBe(
      `Twilio does not have the message, says ${userInfo().username}`,
    )
    expect(await jobsOf(world)).toEqual([expect.objectContaining({ attempt: 0, due: true })])
    await runDue(world, await newProcess(world), id, 0)
    expect(world.simulator.messages().map(({ answer }) => answer)).toEqual(['hung_before', 'accepted'])
    expect(await rowOf(world, id)).toMatchObject({ retry_count: 0, error_message: null })
  })

  test('changes nothing while the request may be under way, or if the message is not in doubt', async () => {
    const world = await newTimedWorld()
    const id = await sendWith(world, { hangBefore: 1 })
    await world.pass(30)
    expect(await resolve(world, id, '--not-sent')).toMatchObject({
      code: 1,
      stderr: `Message ${id} was not changed: it is not in doubt, or its request may still be under way.\n`,
    })
    const sent = await world.sender.send(message({ to: '+12065550111' }))
    expect((await resolve(world, sent.id, '--not-sent', '--json')).code).toBe(1)
    expect((await resolve(world, 999_999, '--not-sent')).stderr).toBe('Message 999999 does not exist.\n')
    expect(await jobsOf(world)).toEqual([])
  })
})

test.each([
  ['neither --sid nor --not-sent', []],
  ['both', ['--sid', `SM${'0'.repeat(32)}`, '--not-sent']],
  ['a sid that is none', ['--sid', 'SM123']],
])('resolve with %s exits with 2', async (_what, flags) => {
  expect(await runCli(['resolve', '1', ...flags])).toMatchObject({ code: 2, stdout: '' })
})
