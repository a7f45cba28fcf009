// The commands `retry` and `cancel`: output, exit code, and the resulting row. Which state allows which action is tested in
// test/delivery/manual-actions.test.ts. Needs dist/.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Ended, runCli, runCliProcess, WORKING_NUMBER } from './run-cli.ts'

/** Twilio refuses these with "opted out", which is never retried, and "queue full", which is retried after minutes. */
const OPTED_OUT = '+15552161001'
const QUEUE_FULL = '+15552161101'

let world: World
beforeAll(async () => {
  world = await startWorld({ env: { RETRY_DELAY_SCALE: '1' } })
})
afterAll(() => world.stop())

const run = (...args: string[]): Promise<Ended> => runCli(args, world.env)

async function send(to: string, validForSeconds?: number): Promise<string> {
  const { id } = await world.sender.send({ userId: 7, to, body: 'Hello', validForSeconds })
  await world.simulator.idle()
  return `${id}`
}

async function jobsOf(id: string): Promise<number[]> {
  const rows = await world.database.query<{ attempt: number }>(
    `select (data ->> 'attempt')::integer as "attempt" from sms_retry_pgboss.job
      where name = 'attempt' and data ->> 'message' = $1 order by 1`,
    [id],
  )
  return rows.map(({ attempt }) => attempt)
}

describe('retry', () => {
  test('makes a pending retry due now', async () => {
    const id = await send(QUEUE_FULL)
    expect(await run('retry', id)).toEqual({
      code: 0,
      stdout: `message ${id}: retrying. Retry 1 is due: a worker makes it as soon as it can\n`,
      stderr: '',
    })
    expect(await jobsOf(id)).toEqual([1])
    expect(await run('retry', id)).toEqual({
      code: 1,
      stdout: '',
      stderr: `Message ${id} was not changed: its next attempt is already due.\n`,
    })
  })

  test('outside the send window is scheduled for the next opening, and says when and why', async () => {
    const id = await send(QUEUE_FULL)
    const inHours = (hours: number): string =>
      new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16)
    const hours = `${inHours(2)}-${inHours(3)}`
    const env = { ...world.env, SEND_WINDOW: hours, SEND_WINDOW_TIME_ZONE: 'UTC' }
    // Due later than the next opening.
    await world.database.query(
      `update sms_usage_logs set next_retry_at = now() + interval '2 days' where id = $1`,
      [id],
    )
    const { code, stdout } = await runCli(['retry', id], env)
    expect(code).toBe(0)
    expect(stdout).toMatch(
      new RegExp(
        `^message ${id}: retrying\\. Retry 1 is due at [-\\d]{10} [:\\d]{8}\\. It waits for its send window, ${hours} in UTC`,
      ),
    )
    const again = await runCli(['retry', id], env)
    expect(again).toMatchObject({
      code: 1,
      stderr: `Message ${id} was not changed: it waits for its send window, ${hours} in UTC.\n`,
    })
  })

  test('during a pause says that the retry waits', async () => {
    const id = await send(OPTED_OUT)
    await world.database.query(`update sms_retry.account_state set paused_since = now(), paused_by = 'Ann'`)
    try {
      expect(await run('retry', id, '--force')).toMatchObject({
        code: 0,
        stdout: `message ${id}: retrying. Retry 1 waits. Sending is paused\n`,
      })
    } finally {
      await world.database.query('update sms_retry.account_state set paused_since = null')
    }
  })

  test('needs --force for a code that the policy never retries, and names the code and the reason', async () => {
    const id = await send(OPTED_OUT)
    const refused = await run('retry', id)
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(/was not changed: the policy never retries 21610 \(.*opted out.*forced/)
    expect(await jobsOf(id)).toEqual([])
    expect(await run('retry', id, '--force')).toMatchObject({ code: 0, stderr: '' })
    expect(await jobsOf(id)).toEqual([1])
  })

  test('run by two processes at the same time schedules one attempt', async () => {
    const id = await send(OPTED_OUT)
    const retry = () => runCliProcess(['retry', id, '--force'], world.env)
    const ended = await Promise.all([retry(), retry()])
    expect(ended.map(({ code }) => code).toSorted()).toEqual([0, 1])
    expect(ended.find(({ code }) => code === 1)?.stderr).toMatch(/changed in the meantime|already due/)
    expect(await jobsOf(id)).toEqual([1])
  })

  test('changes nothing if the message changed after the command read it', async () => {
    const id = await send(OPTED_OUT)
    // A worker records another attempt. Until it commits, the command sees the old row, and waits for the lock.
    const worker = new pg.Client({ connectionString: world.database.url })
    await worker.connect()
    await worker.query('begin')
    await worker.query('update sms_usage_logs set retry_count = 1 where id = $1', [id])
    const asking = run('retry', id, '--force')
    await waitFor('the command to wait for the row', async () => {
      const waiting = await world.database.query(
        `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
      return waiting.length > 0
    })
    await worker.query('commit')
    await worker.end()
    const ended = await asking
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('changed in the meantime') })
    expect(await jobsOf(id)).toEqual([])
  })

  test.each([
    ['Twilio has it', 'sent', /Twilio may already have sent it/],
    ['it is delivered', 'delivered', /it is already delivered/],
    ['nobody knows whether Twilio has it', 'submitting', /not known yet whether Twilio received it/],
  ])('does nothing if %s', async (_what, status, why) => {
    const id = await send(WORKING_NUMBER)
    await world.database.query('update sms_usage_logs set final_status = $2 where id = $1', [id, status])
    const ended = await run('retry', id, '--force')
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toMatch(why)
    expect(await jobsOf(id)).toEqual([])
  })

  test('changes nothing after the deadline', async () => {
    const id = await send(OPTED_OUT, 3600)
    await world.database.query(
      `update sms_usage_logs set sms_metadata = jsonb_set(sms_metadata, '{deadline}', '"2020-01-01T00:00:00.000Z"')
        where id = $1`,
      [id],
    )
    const ended = await run('retry', id, '--force')
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('its deadline has passed') })
  })
})

describe('cancel', () => {
  test('cancels the pending retry and its job; a second cancel changes nothing', async () => {
    const id = await send(QUEUE_FULL)
    expect(await jobsOf(id)).toEqual([1])
    expect((await run('list', '--limit', '1')).stdout).toMatch(/ retrying +1 +in 5 min +21611/)
    expect(await runCliProcess(['cancel', id], world.env)).toEqual({
      code: 0,
      stdout: `message ${id}: canceled\n`,
      stderr: '',
    })
    expect(await jobsOf(id)).toEqual([])
    expect(await run('cancel', id)).toEqual({
      code: 1,
      stdout: '',
      stderr: `Message ${id} was not changed: it is already canceled.\n`,
    })
  })

  test('changes nothing if the message is delivered', async () => {
    const id = await send(WORKING_NUMBER)
    const ended = await run('cancel', id)
    expect(ended).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('already delivered') })
  })
})

describe('retry and cancel', () => {
  test.each([
    'retry',
    'cancel',
  ])('%s --json prints id, outcome and the message with the keys of show --json', async (command) => {
    const id = await send(QUEUE_FULL)
    const done = await run(command, id, '--json')
    expect(done).toMatchObject({ code: 0, stderr: '' })
    const shown = JSON.parse((await run('show', id, '--json')).stdout) as object
    expect(JSON.parse(done.stdout)).toEqual({ id: Number(id), outcome: 'done', message: shown })
    const again = await run(command, id, '--json')
    expect(again.code).toBe(1)
    expect(JSON.parse(again.stdout)).toEqual({
      id: Number(id),
      outcome: 'nothing_to_do',
      why: expect.stringContaining('already'),
      message: shown,
    })
  })

  test.each(['retry', 'cancel'])('%s exits with 1 if the message does not exist', async (command) => {
    expect(await run(command, '999999')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Message 999999 does not exist.\n',
    })
  })
})
