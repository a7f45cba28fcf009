// The figures of the pool for the metrics: connections, and callers that wait for one.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Database } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import { open } from '../db/original-table.ts'

let own: TestDatabase
let database: Database

beforeEach(async () => {
  own = await createTestDatabase(null)
  database = open(own, 2)
})

afterEach(async () => {
  await database.close()
  await own.drop()
})

/** A transaction that keeps its connection until `end` is called. */
function hold(): { end: () => Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const held = database.transaction(async (tx) => {
    await tx.executeSql('select 1')
    await promise
  })
  return {
    end() {
      resolve()
      return held
    },
  }
}

test('a connection is opened when it is first needed', async () => {
  expect(database.connections()).toEqual({ total: 0, idle: 0, waiting: 0 })
  await database.executeSql('select 1')
  expect(database.connections()).toEqual({ total: 1, idle: 1, waiting: 0 })
})

test('a caller does not count as waiting while a connection is free or can be opened', async () => {
  const asking = [database.executeSql('select 1'), database.executeSql('select 1')]
  expect(database.connections().waiting).toBe(0)
  await Promise.all(asking)
  const again = [database.executeSql('select 1'), database.executeSql('select 1')]
  expect(database.connections().waiting).toBe(0)
  await Promise.all(again)
})

test('a caller waits while all connections are in use', async () => {
  const held = [hold(), hold()]
  await waitFor('both to be in use', () => {
    const { total, idle } = database.connections()
    return total === 2 && idle === 0
  })
  const asking = [database.executeSql('select 1'), database.executeSql('select 1')]
  expect(database.connections()).toEqual({ total: 2, idle: 0, waiting: 2 })
  await held[0]?.end()
  await Promise.all(asking)
  expect(database.connections()).toEqual({ total: 2, idle: 1, waiting: 0 })
  await held[1]?.end()
})
