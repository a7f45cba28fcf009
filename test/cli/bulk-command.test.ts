// The commands `retry` and `cancel` for all messages that match a filter, and the filters of `list`: output, exit code, and the
// resulting rows. test/messages/act-on-matches.test.ts tests the work. Needs dist/.
import { userInfo } from 'node:os'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { startCli } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Ended, endOf, runCli, runCliProcess } from './run-cli.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ env: { RETRY_DELAY_SCALE: '1', LOG_LEVEL: 'info' } })
})
afterEach(() => world.database.query('truncate sms_usage_logs'))
afterAll(() => world.stop())

const run = (...args: string[]): Promise<Ended> => runCli(args, { ...world.env, LOG_LEVEL: 'warn' })

interface Given {
  readonly status?: string
  readonly code?: number
  readonly user?: number
  readonly to?: string
  readonly metadata?: object
  readonly hoursAgo?: number
}

async function insert(many: number, given: Given = {}): Promise<void> {
  const {
    status = 'undelivered',
    code = 30003,
    user = 1,
    to = '+12065550100',
    metadata = {},
    hoursAgo = 1,
  } = given
  await world.database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                                 final_status, success, twilio_message_sid, sms_metadata)
     select $4, $5, 'outbound', 5, 'Hello', now() at time zone 'UTC' - make_interval(hours => $7), $2::text, $2 = 'delivered',
            'SM' || md5(random()::text), $6::jsonb || jsonb_build_object('attempts', jsonb_build_array(jsonb_build_object(
              'number', 0, 'status', $2::text, 'error_code', case when $2 <> 'delivered' then $3::integer end)))
       from generate_series(1, $1::integer) as n`,
    [many, status, code, user, to, metadata, hoursAgo],
  )
}

async function count(status: string): Promise<number> {
  const rows = await world.database.query('select from sms_usage_logs where final_status = $1', [status])
  return rows.length
}

const WHO = userInfo().username

describe('retry and cancel with a filter', () => {
  test('--dry-run counts what matches, what would be changed, and why the rest would not; it changes nothing', async () => {
    await insert(12)
    await insert(3, { status: 'delivered' })
    await insert(2, { code: 30007 })
    expect(await run('retry', '--since', '24h', '--dry-run')).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        /^17 messages match, created since [-\d]{10} [:\d]{8} UTC\.\n {2}12 would be retried\n {2}5 would not be changed:\n {4}3: it is already delivered\n {4}2: the policy never retries 30007 \(.*\); this must be forced\n$/,
      ),
      stderr: '',
    })
    expect(await count('retrying')).toBe(0)
    const { stdout } = await run('retry', '--code', '30007', '--force', '--dry-run', '--json')
    expect(JSON.parse(stdout)).toEqual({
      ...{ action: 'retry', dryRun: true, by: WHO, since: null, until: null },
      ...{ matched: 2, changed: 2, unchanged: [], failed: 0, isComplete: true },
    })
  })

  test('--yes changes them, and each row names the person', async () => {
    await insert(130)
    await insert(1, { user: 2 })
    expect(
      await runCliProcess(['retry', '--user', '1', '--yes'], { ...world.env, LOG_LEVEL: 'warn' }),
    ).toEqual({
      code: 0,
      stdout: '130 messages match, created at any time.\n  130 retried\n',
      stderr: '',
    })
    const rows = await world.database.query<{ reason: string; many: string }>(
      `select error_message as "reason", count(*) as "many" from sms_usage_logs where final_status = 'retrying' group by 1`,
    )
    expect(rows).toEqual([{ reason: `A retry was requested manually by ${WHO}`, many: '130' }])
    const canceled = await run('cancel', '--status', 'retrying', '--yes', '--json')
    expect(canceled.code).toBe(0)
    expect(JSON.parse(canceled.stdout)).toMatchObject({ action: 'cancel', dryRun: false, changed: 130 })
    expect(await count('canceled')).toBe(130)
  })

  test('at a terminal change nothing without a yes; if there is nothing to change, they do not ask and exit with 0', async () => {
    await insert(3)
    // The standard input ends immediately.
    const asTerminal = {
      ...world.env,
      NODE_OPTIONS: '--import=data:text/javascript,process.stdin.isTTY=true',
    }
    const asked = await runCliProcess(['retry', '--code', '30003'], asTerminal)
    expect(asked).toMatchObject({ code: 1, stdout: '' })
    expect(asked.stderr).toMatch(
      /^3 messages match, .*\n {2}3 would be retried\nRetry 3 messages\? \[y\/N\] [\s\S]*Nothing was changed\.\n$/,
    )
    expect(await count('undelivered')).toBe(3)
    expect(await runCliProcess(['cancel', '--code', '30003'], asTerminal)).toEqual({
      code: 0,
      stdout:
        '3 messages match, created at any time.\n  0 canceled\n  3 not changed:\n    3: it is already undelivered\n',
      stderr: '',
    })
  })

  test('are logged with the person and the counts', async () => {
    await insert(2)
    const { stderr } = await runCli(['retry', '--code', '30003', '--yes'], {
      ...world.env,
      LOG_FORMAT: 'json',
    })
    const [line = ''] = stderr.split('\n').filter((text) => text.includes('Bulk action'))
    expect(line).toContain(`action=retry by=${WHO}`)
    expect(line).toContain('code=30003')
    expect(line).toMatch(/matched=2 changed=2 failed=0/)
  })

  test.each<[string, string[], string]>([
    ['neither an id nor a filter', ['retry'], 'Name a message by its id, or several by a filter'],
    ['neither, but --yes', ['cancel', '--yes'], 'Name a message by its id, or several by a filter'],
    ['an id and a filter', ['retry', '1', '--code', '30003'], 'Name either one message by its id'],
    ['an id and --dry-run', ['cancel', '1', '--dry-run'], '--dry-run and --yes are for several messages'],
    ['no terminal and no --yes', ['retry', '--code', '30003'], 'Count the messages with --dry-run'],
    ['an unknown status', ['retry', '--status', 'lost', '--yes'], 'Unknown status'],
    ['a code that is no number', ['retry', '--code', 'x', '--yes'], 'An error code is a number'],
    ['a time that does not exist', ['cancel', '--since', '2026-02-30T10:00', '--yes'], 'Enter a time'],
    ['a time in the year 0', ['cancel', '--since', '0000-01-01T00:00', '--yes'], 'Enter a time'],
    ['metadata without a value', ['cancel', '--metadata', 'order', '--yes'], 'key=value'],
    ['a key of ours', ['cancel', '--metadata', 'attempts=1', '--yes'], 'belongs to sms-retry'],
    [
      'a key inside one of ours',
      ['cancel', '--metadata', 'attempts.0.number=0', '--yes'],
      'The key attempts belongs to sms-retry',
    ],
    ['an empty user', ['cancel', '--user', '', '--yes'], 'column user_id'],
    ['a number with letters', ['cancel', '--number', '1x', '--yes'], 'digits'],
  ])('with %s exit with 2 and change nothing', async (_what, args, text) => {
    await insert(1)
    const { code, stdout, stderr } = await run(...args)
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(text) })
    expect(await count('undelivered')).toBe(1)
  })

  test('exit with 1 if a message could not be changed', async () => {
    await insert(2)
    await world.database.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'refused' using errcode = '23514'; end $$`,
    )
    await world.database.query(
      `create trigger refuse before update on sms_usage_logs for each row execute function refuse()`,
    )
    const { code, stdout } = await run('retry', '--code', '30003', '--yes')
    await world.database.query('drop trigger refuse on sms_usage_logs')
    expect([code, stdout]).toEqual([
      1,
      expect.stringContaining('2 failed: the row is locked, or the database'),
    ])
  })

  test('stop after the current batch on SIGINT, print what was done and exit with 1; a second run continues', async () => {
    await insert(350)
    const session = new pg.Client({ connectionString: world.database.url })
    await session.connect()
    await session.query('begin')
    // The second batch waits for the first of these rows, the third one for the other.
    for (const place of [150, 250])
      await session.query(
        'select from sms_usage_logs where id = (select min(id) + $1 from sms_usage_logs) for update',
        [place],
      )
    const cli = startCli(['retry', '--code', '30003', '--yes'], world.env)
    await waitFor('the second batch', async () => (await count('retrying')) >= 100)
    cli.kill('SIGINT')
    await waitFor('the signal', () => cli.stderr().includes('stopping after this batch'))
    await session.query('rollback')
    await session.end()
    const { code, stdout, stderr } = await endOf(cli)
    const done = await count('retrying')
    expect(code).toBe(1)
    expect(stdout).toMatch(new RegExp(`^[23]00 messages match.*\\n {2}${done} retried`))
    expect(stderr).toContain('Stopped before the end. Run the command again to continue.')
    expect(done).toBeGreaterThanOrEqual(100)
    expect(done).toBeLessThanOrEqual(300)
    await run('retry', '--code', '30003', '--status', 'undelivered', '--yes')
    expect(await count('retrying')).toBe(350)
    const rows = await world.database.query('select from sms_usage_logs where retry_count <> 1')
    expect(rows).toEqual([])
  })

  test('exit with 1 if the database goes away, and say how far they came; a second run continues', async () => {
    await insert(350)
    const session = new pg.Client({ connectionString: world.database.url })
    await session.connect()
    await session.query('begin')
    // The second batch waits for this row, after it has changed the others.
    await session.query(
      'select from sms_usage_logs where id = (select min(id) + 150 from sms_usage_logs) for update',
    )
    await world.database.query(`create role passing superuser login password 'passing'`)
    const url = new URL(world.database.url)
    url.username = 'passing'
    url.password = 'passing'
    const cli = startCli(['retry', '--code', '30003', '--yes'], { ...world.env, DATABASE_URL: url.href })
    await waitFor('the second batch', async () => (await count('retrying')) >= 199)
    await world.database.query('alter role passing nologin')
    await world.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'passing'`,
    )
    const { code, stdout, stderr } = await endOf(cli)
    await session.query('rollback')
    await session.end()
    await world.database.query('drop role passing')
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^So far: (\d+) of \1 messages changed\. Run the command again to continue\.$/m)
    const [, done] = /So far: (\d+)/.exec(stderr) ?? []
    expect(await count('retrying')).toBe(Number(done))
    expect((await run('retry', '--code', '30003', '--yes')).code).toBe(0)
    expect(await count('retrying')).toBe(350)
    expect(await world.database.query('select from sms_usage_logs where retry_count <> 1')).toEqual([])
  })
})

describe('list', () => {
  const listed = async (...args: string[]): Promise<number> => {
    const { code, stdout } = await run('list', '--json', ...args)
    expect(code).toBe(0)
    return (JSON.parse(stdout) as object[]).length
  }

  test('has the filters of the dashboard', async () => {
    await insert(1, { metadata: { order: 1001, shop: { city: 'Rome' } } })
    await insert(2, { code: 30007, user: 2, to: '+12065550177', metadata: { order: '1001' } })
    await insert(3, { status: 'delivered', hoursAgo: 30, metadata: { order: null } })
    const noon = new Date(Date.now() - 10 * 3_600_000).toISOString()
    for (const [args, many] of [
      [['--status', 'failed-for-good'], 3],
      [['--status', 'delivered,undelivered'], 6],
      [['--status', 'undelivered'], 3],
      [['--code', '30007'], 2],
      [['--number', '0177'], 2],
      [['--number', '+1 (206) 555-0177'], 2],
      [['--user', '2'], 2],
      [['--user', 'ann@example.com'], 0],
      [['--since', '24h'], 3],
      [['--until', '24h'], 3],
      [['--since', noon], 3],
      [['--until', noon.slice(0, 16)], 3],
      [['--metadata', 'order=1001'], 3],
      [['--metadata', 'order=1001', '--metadata', 'shop.city=Rome'], 1],
      [['--metadata', 'order=null', '--since', '7d'], 3],
      [['--metadata', 'order=1001', '--since', '24h', '--code', '30007', '--user', '2', '--limit', '1'], 1],
    ] as const)
      expect([args, await listed(...args)]).toEqual([args, many])
  })

  test('and show --json print the metadata of the app, without the keys of sms-retry', async () => {
    await insert(1, { metadata: { order: 1001, tags: ['a'] } })
    const [message] = JSON.parse((await run('list', '--json')).stdout) as { id: number; metadata: object }[]
    expect(message?.metadata).toEqual({ order: 1001, tags: ['a'] })
    expect((await run('show', `${message?.id}`)).stdout).toMatch(
      /^Metadata +\{"tags":\["a"\],"order":1001\}$/m,
    )
  })

  test('says that a search for metadata without a start time ended early', async () => {
    await insert(1, { metadata: { order: 1001 }, hoursAgo: 9 })
    await insert(10_000)
    const early = await run('list', '--metadata', 'order=1001')
    expect(early).toMatchObject({ code: 0, stdout: '' })
    expect(early.stderr).toMatch(
      /No messages match\.\nOnly the newest 10,000 messages were searched\..*--since/,
    )
    expect(await listed('--metadata', 'order=1001', '--since', '7d')).toBe(1)
  })
})
