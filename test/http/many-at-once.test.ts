// Concurrent callbacks are recorded in one batch, but each gets its own answer. Those beyond the capacity are refused, and
// Twilio repeats them.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import * as endpoint from './endpoint.ts'

let database: TestDatabase
let target: endpoint.Endpoint
let app: pg.Client

beforeEach(async () => {
  database = await createTestDatabase()
  target = await endpoint.startEndpoint(database.url)
  app = new pg.Client({ connectionString: database.url })
  await app.connect()
  await waitFor('ready', async () => (await fetch(`${target.url}/readyz`)).ok)
})

afterEach(async () => {
  expect(endpoint.personalLines(target.log)).toEqual([])
  await app.end()
  await target.stop()
  await database.drop()
})

function insertRows(count: number): Promise<endpoint.ForeignRow[]> {
  return database.query<endpoint.ForeignRow & Record<string, unknown>>(
    `insert into sms_usage_logs
       (user_id, phone_number, message_direction, message_length, message_content, twilio_message_sid)
     select 7, $1, 'outbound', 22, $2, 'SM' || md5(random()::text) from generate_series(1, $3)
     returning id, twilio_message_sid as "sid"`,
    [endpoint.TO, endpoint.BODY, count],
  )
}

function callbackOf(row: endpoint.ForeignRow): endpoint.CallbackRequest {
  return { path: endpoint.statusPath(row.id), fields: endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid) }
}

const post = (row: endpoint.ForeignRow): Promise<endpoint.Answer> => endpoint.post(target, callbackOf(row))

const postTogether = (rows: readonly endpoint.ForeignRow[]): Promise<number[]> =>
  endpoint.postTogether(target, rows.map(callbackOf))

async function recorded(): Promise<number[]> {
  const rows = await database.query<{ id: number }>(
    `select id from sms_usage_logs where final_status <> 'unknown' order by id`,
  )
  return rows.map(({ id }) => id)
}

/** Exactly these messages have been recorded, each with one job. */
async function expectRecorded(rows: readonly endpoint.ForeignRow[]): Promise<void> {
  const ids = rows.map(({ id }) => id)
  expect(await recorded()).toEqual(ids)
  const messages = (await endpoint.jobs(database)).map(({ data }) => data.message)
  expect(messages.toSorted((a, b) => a - b)).toEqual(ids)
}

test('when too many callbacks wait, further ones are answered 503 and not recorded, and the waiting ones are', async () => {
  const rows = await insertRows(2_700)
  await app.query('begin; lock table sms_usage_logs in access exclusive mode')
  const sockets = Array.from({ length: 30 }, (_, i) => rows.filter((_row, j) => j % 30 === i))
  const answers = Promise.all(sockets.map((of) => endpoint.headsTogether(target, of.map(callbackOf))))
  const isOverloaded = ({ message, level }: (typeof target.log)[number]): boolean =>
    level === 'warn' && message.includes('too many are waiting')
  await waitFor('the endpoint to be overloaded', () => target.log.some(isOverloaded))
  await app.query('commit')

  const heads = (await answers).flat()
  const inOrder = sockets.flat()
  const taken = inOrder.filter((_, i) => heads[i]?.status === 204)
  const refused = inOrder.filter((_, i) => heads[i]?.status === 503)
  expect(taken.length + refused.length).toBe(rows.length)
  expect(taken.length).toBeGreaterThan(0)
  // On a slow machine, the first ones have waited too long for the table.
  expect(heads.map(endpoint.resultOf)).toContain('overloaded')
  await expectRecorded(taken.toSorted((a, b) => a.id - b.id))

  // Twilio repeats them when there is capacity.
  expect(await postTogether(refused)).toEqual(refused.map(() => 204))
  await expectRecorded(rows)
})

test('a callback that the database refuses is answered 503, and the others of its batch 204', async () => {
  const rows = await insertRows(20)
  const bad = rows[10]
  if (bad === undefined) throw new Error('no rows')
  await database.query(
    `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$`,
  )
  await database.query(
    `create trigger refuse before update on sms_usage_logs
     for each row when (new.id = ${bad.id}) execute function refuse()`,
  )
  const statuses = await postTogether(rows)
  expect(statuses).toEqual(rows.map((row) => (row === bad ? 503 : 204)))
  await expectRecorded(rows.filter((row) => row !== bad))
  expect(target.log.filter(({ level }) => level === 'error')).toMatchObject([
    { message: 'Status callback not recorded: the database failed' },
  ])

  await database.query('drop function refuse cascade')
  expect(await post(bad)).toMatchObject({ status: 204 })
  await expectRecorded(rows)
})

test('concurrent callbacks are recorded in one transaction', async () => {
  const rows = await insertRows(20)
  expect(await postTogether(rows)).toEqual(Array(20).fill(204))
  await expectRecorded(rows)
  expect(await database.query('select distinct xmin::text from sms_usage_logs')).toHaveLength(1)
})
