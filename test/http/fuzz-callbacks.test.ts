// A short run of `npm run fuzz`: no request to the endpoint writes anything that Twilio has not reported.
import { expect, test } from '@jest/globals'
import { fuzzEndpoint } from '../fuzz/fuzz-endpoint.ts'
import { createTestDatabase } from '../support/database.ts'

test('no arbitrary request makes the endpoint fail or write anything that no genuine callback reported', async () => {
  const database = await createTestDatabase()
  try {
    const { answers } = await fuzzEndpoint(database, { tries: 700, seed: Math.floor(Math.random() * 1e6) })
    // If one of these answers is missing, the requests no longer reach the code they are made for.
    const expected = [204, 400, 403, 405, 413, 415, 431]
    expect(expected.filter((status) => !answers.has(status))).toEqual([])
  } finally {
    await database.drop()
  }
})
