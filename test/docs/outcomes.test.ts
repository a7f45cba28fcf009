// The page on outcomes: its event and its table have what the code has, and its handler acts once for each event.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import pg from 'pg'
import { OUTCOME_TYPES } from '../../src/delivery/outcome.ts'
import { type Outcome, toOutcome } from '../../src/outcomes/outcome-event.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const page = await readFile(new URL('../../docs/outcomes.md', import.meta.url), 'utf8')

const blocksOf = (language: string): string[] =>
  [...page.matchAll(new RegExp(`^ *\`\`\`${language}\\n(.*?)^ *\`\`\``, 'gms'))].map(([, code = '']) => code)

const [json = ''] = blocksOf('json')
const event = JSON.parse(json) as Outcome

test('the event has the fields that an outcome has', () => {
  const outcome = toOutcome(
    {
      id: event.id,
      type: 'message.failed',
      message: 42,
      key: null,
      status: 'undelivered',
      previousStatus: 'sent',
      errorCode: 30003,
      reason: null,
      retryCount: 2,
      sid: null,
      at: event.at,
      corrects: null,
    },
    undefined,
  )
  expect(Object.keys(event)).toEqual(Object.keys(outcome))
})

test('the table has every type', () => {
  const named = [...page.matchAll(/^\| `(message\.\w+)` \|/gm)].map(([, type]) => type)
  expect(named).toEqual([...OUTCOME_TYPES])
})

let database: TestDatabase
let pool: pg.Pool
beforeAll(async () => {
  database = await createTestDatabase()
  pool = new pg.Pool({ connectionString: database.url, max: 2 })
  // `end` resolves before the server has closed the connections, and the dropped database ends them with an error.
  pool.on('error', () => undefined)
})
afterAll(async () => {
  await pool.end()
  await database.drop()
})

test('the handler acts once for each event, and again if its transaction fails', async () => {
  const [createTable = ''] = blocksOf('sql')
  await database.query(createTable)
  await database.query('create table orders (id integer, sms_state text, changes integer default 0)')
  await database.query('insert into orders (id) values (1001)')
  await database.query(
    `create function count_change() returns trigger language plpgsql as $$ begin
       new.changes := old.changes + 1; return new; end $$`,
  )
  await database.query(
    'create trigger count_change before update on orders for each row execute function count_change()',
  )
  const code = blocksOf('ts').find((block) => block.includes('seen_outcome')) ?? ''
  const AsyncFunction = (async () => undefined).constructor as new (
    ...args: string[]
  ) => (startWorker: unknown, pool: pg.Pool) => Promise<{ onOutcome: (outcome: Outcome) => Promise<void> }>
  const run = new AsyncFunction('startWorker', 'pool', `${stripTypeScriptTypes(code)}\nreturn worker`)
  const { onOutcome } = await run(async (options: unknown) => options, pool)

  await database.query('alter table orders rename to hidden')
  await expect(onOutcome(event)).rejects.toThrow('orders')
  await database.query('alter table hidden rename to orders')
  await onOutcome(event)
  await Promise.all([onOutcome(event), onOutcome(event)])
  expect(await database.query('select sms_state, changes from orders')).toEqual([
    { sms_state: 'undelivered', changes: 1 },
  ])
})
