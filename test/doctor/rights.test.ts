// The privileges that `doctor` checks, and that the role of sql/roles/least-privilege.sql has all of them.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import type { NamedFinding } from '../../src/doctor/doctor.ts'
import { giveRights, limitedRole } from '../security/limited-role.ts'
import { startWorld, type World } from '../support/world.ts'
import { examine, named, of } from './examine.ts'

const role = limitedRole()
let world: World
/** The role's name. */
let name: string
beforeAll(async () => {
  world = await startWorld({ databaseUrl: role.create })
  name = new URL(world.env['DATABASE_URL'] ?? '').username
})
afterAll(async () => {
  await world.stop()
  await role.drop()
})

afterEach(async () => {
  await giveRights(world.database, name)
  await world.database.query('drop policy if exists p on sms_usage_logs')
  await world.database.query('alter table sms_usage_logs disable row level security')
  await world.database.query(`alter role ${name} nobypassrls`)
})

async function rightsAfter(change: string): Promise<NamedFinding[]> {
  await world.database.query(change)
  return of(await examine(world.env), 'table')
}

const OK = [expect.objectContaining({ result: 'ok' })]

test('the least-privilege role passes all checks', async () => {
  expect(named(await examine(world.env), 'failed')).toEqual([])
})

describe('a missing privilege is reported', () => {
  test.each([
    ['insert', 'sms_usage_logs'],
    ['update', 'sms_usage_logs'],
    ['update', 'sms_retry.due_watch'],
    ['insert', 'sms_retry_pgboss.job'],
    ['delete', 'sms_retry_pgboss.job_common'],
    ['delete', 'sms_retry.instance'],
    ['update', 'sms_retry_pgboss.queue'],
  ])('%s on %s', async (privilege, table) => {
    const granted = `${privilege} on ${table}`
    expect(await rightsAfter(`revoke ${granted} from ${name}`)).toEqual([
      expect.objectContaining({
        result: 'failed',
        what: `The role ${name} has not been granted ${granted}`,
        fix: expect.stringContaining('sql/roles/least-privilege.sql'),
      }),
    ])
  })

  test('usage on the sequence of message ids', async () => {
    const found = await rightsAfter(`revoke usage on sequence sms_usage_logs_id_seq from ${name}`)
    expect(found.map(({ what }) => what)).toEqual([
      `The role ${name} has not been granted usage on sms_usage_logs_id_seq`,
    ])
  })

  test('all privileges that a read-only role lacks', async () => {
    const reader = limitedRole()
    const url = new URL(await reader.create(world.database))
    for (const schema of ['public', 'sms_retry', 'sms_retry_pgboss']) {
      await world.database.query(
        `revoke insert, update, delete on all tables in schema ${schema} from ${url.username}`,
      )
    }
    const found = of(await examine({ ...world.env, DATABASE_URL: url.toString() }), 'table')
    await world.database.query(`drop owned by ${url.username}`)
    await reader.drop()
    expect(found.map(({ result, what }) => [result, /granted (\w+) on sms_/.exec(what)?.[1]])).toEqual([
      ['failed', 'delete'],
      ['failed', 'insert'],
      ['failed', 'update'],
    ])
  })
})

describe('row level security', () => {
  const enable = 'alter table sms_usage_logs enable row level security;'

  test('without a policy is reported for every privilege', async () => {
    const found = await rightsAfter(enable)
    expect(found).toHaveLength(3)
    expect(found[0]).toMatchObject({
      result: 'failed',
      what: expect.stringMatching(/Row level security .*sms_usage_logs.*\(insert\)/),
      fix: expect.stringMatching(/policy.*bypassrls/),
    })
  })

  test.each<[what: string, policy: string, hidden: string[]]>([
    ['for all rows and all roles', 'for all using (true)', []],
    ['for the role', 'for all to ROLE using (true)', []],
    ['for another role', 'for all to postgres using (true)', ['insert', 'select', 'update']],
    ['for some rows', 'for all using (user_id > 0)', ['insert', 'select', 'update']],
    ['for select only', 'for select using (true)', ['insert', 'update']],
    ['for insert only', 'for insert with check (true)', ['select', 'update']],
  ])('with a policy %s is judged correctly', async (_what, policy, hidden) => {
    const create = `${enable} create policy p on sms_usage_logs ${policy.replace('ROLE', name)}`
    const found = await rightsAfter(create)
    expect(found.flatMap(({ what }) => /\((\w+)\)/.exec(what)?.[1] ?? [])).toEqual(hidden)
    if (hidden.length === 0) expect(found).toEqual(OK)
  })

  test('is not reported for a role with bypassrls', async () => {
    expect(await rightsAfter(`${enable} alter role ${name} bypassrls`)).toEqual(OK)
  })
})
