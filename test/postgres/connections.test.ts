// How many connections there are, and who waits for one: what the metrics tell of the pool.
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

/** A transaction that keeps its connection until it is told to end. */
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

test('there are none before they are needed, and then as many as are', async () => {
  expect(database.connections()).toEqual({ total: 0, idle: 0, waiting: 0 })
  await database.executeSql('select 1')
  expect(database.connections()).toEqual({ total: 1, idle: 1, waiting: 0 })
})

test('who asks while one is free, or can be made, does not wait', async () => {
  const asking = [database.executeSql('select 1'), database.executeSql('select 1')]
  expect(database.connections().waiting).toBe(0)
  await Promise.all(asking)
  const again = [database.executeSql('select 1'), database.executeSql('select 1')]
  expect(database.connections().waiting).toBe(0)
  await Promise.all(again)
})

test('who asks while all are in use waits until one is given back', async () => {
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
