// Tests the one row with the state of the account: nothing is lost between reading and writing, and one worker at a time
// gets a probe.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import {
  pauseSending,
  readAccountState,
  resumeSending,
  returnProbe,
  takeProbe,
  writeAccountState,
} from '../../src/db/account-row.ts'
import { type AccountState, type Hold, WORKING_ACCOUNT } from '../../src/delivery/account-state.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'

let own: TestDatabase
let database: Database

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own, 10)
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

beforeEach(async () => {
  await resumeSending(database)
  await own.query('update sms_retry.account_state set working_since = null')
})

const at = (seconds: number): Date => new Date(Date.now() + seconds * 1000)

/** On hold, with the next probe so many seconds from now. */
const onHold = (probeInSeconds: number): AccountState => ({
  ...WORKING_ACCOUNT,
  hold: { since: at(-60), errorCode: 10001, liftedBy: 'accepted', probes: 0, probeAt: at(probeInSeconds) },
})

async function write(state: AccountState): Promise<void> {
  await writeAccountState(database, state, await readAccountState(database))
}

const stateNow = async (): Promise<AccountState> => (await readAccountState(database)).state

test('a new database has a working account', async () => {
  expect(await stateNow()).toEqual(WORKING_ACCOUNT)
})

test('failures and hold are read as they were written', async () => {
  const failures = [
    { at: at(-2), wasAccepted: false },
    { at: at(-1), wasAccepted: true },
  ]
  for (const state of [{ ...WORKING_ACCOUNT, failures }, onHold(30), { ...onHold(30), failures }]) {
    await write(state)
    expect(await stateNow()).toEqual(state)
  }
})

test('of two states that were derived from the same one, only the first is written', async () => {
  const before = await readAccountState(database)
  await writeAccountState(database, onHold(30), before)
  await writeAccountState(
    database,
    { ...WORKING_ACCOUNT, failures: [{ at: at(0), wasAccepted: false }] },
    before,
  )
  expect((await stateNow()).hold).not.toBeNull()
})

test('a state that was read with a lock is not changed by others until the commit', async () => {
  const { promise: isRead, resolve: read } = Promise.withResolvers<void>()
  const order: string[] = []
  const first = database.transaction(async (tx) => {
    const before = await readAccountState(tx, { isLocked: true })
    read()
    // The other one waits for the lock meanwhile.
    await tx.executeSql('select pg_sleep(0.2)')
    await writeAccountState(tx, onHold(30), before)
    order.push('first')
  })
  await isRead
  const second = database.transaction(async (tx) => {
    const { state } = await readAccountState(tx, { isLocked: true })
    order.push('second')
    return state
  })
  await first
  expect((await second).hold).not.toBeNull()
  expect(order).toEqual(['first', 'second'])
})

test('one of ten workers gets the probe that is due, and the next one is due after the pause', async () => {
  await write(onHold(-1))
  const taken = await Promise.all(Array.from({ length: 10 }, () => takeProbe(database, 0, 60, 600)))
  expect(taken.filter(Boolean)).toHaveLength(1)
  const { hold } = await stateNow()
  expect(hold?.probes).toBe(1)
  expect(await takeProbe(database, 1, 60, 600)).toBe(false)
})

test('no probe is taken before it is due, without a hold, or during a pause', async () => {
  await write(onHold(30))
  expect(await takeProbe(database, 0, 60, 600)).toBe(false)
  await write(WORKING_ACCOUNT)
  expect(await takeProbe(database, 0, 60, 600)).toBe(false)
  await write(onHold(-1))
  await pauseSending(database, 'ops', null)
  expect(await takeProbe(database, 0, 60, 600)).toBe(false)
})

test('a probe that was given back is due at once, and does not lengthen the pause', async () => {
  await write(onHold(-1))
  await takeProbe(database, 0, 60, 600)
  await returnProbe(database, 1)
  expect((await stateNow()).hold?.probes).toBe(0)
  expect(await takeProbe(database, 0, 60, 600)).toBe(true)
})

test('a pause is kept while failures are counted, and resuming ends pause and hold', async () => {
  await pauseSending(database, 'ops', 'maintenance')
  await write(onHold(30))
  expect(await stateNow()).toMatchObject({
    hold: { errorCode: 10001 },
    pause: { by: 'ops', reason: 'maintenance' },
  })
  await resumeSending(database)
  expect(await stateNow()).toEqual({ ...WORKING_ACCOUNT, workingSince: expect.any(Date) })
})

test('the end of a hold is written although the row was written in the meantime, but not over the next hold', async () => {
  await write(onHold(-1))
  const before = await readAccountState(database)
  await takeProbe(database, 0, 60, 600)
  const lifted = { ...WORKING_ACCOUNT, workingSince: at(0) }
  await writeAccountState(database, lifted, before)
  expect(await stateNow()).toEqual(lifted)
  await write({ ...lifted, hold: { ...onHold(30).hold, since: at(1) } as Hold })
  await writeAccountState(database, lifted, before)
  expect((await stateNow()).hold).not.toBeNull()
})

test('a probe that is due later than any pause is taken, because the clock was set back', async () => {
  await write(onHold(601))
  expect(await takeProbe(database, 0, 60, 600)).toBe(true)
})
