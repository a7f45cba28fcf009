// The short run of `npm run fuzz`: whatever is sent to the endpoint, nothing is written that Twilio has not said.
import { expect, test } from '@jest/globals'
import { fuzzEndpoint } from '../fuzz/fuzz-endpoint.ts'
import { createTestDatabase } from '../support/database.ts'

test('no request makes the endpoint fail, or write what no genuine callback has told', async () => {
  const database = await createTestDatabase()
  try {
    const { answers } = await fuzzEndpoint(database, { tries: 1_000, seed: Math.floor(Math.random() * 1e6) })
    // The requests are such that each of these is among their answers; otherwise they have missed what they are for.
    const expected = [204, 400, 403, 405, 413, 415, 431]
    expect(expected.filter((status) => !answers.has(status))).toEqual([])
  } finally {
    await database.drop()
  }
})
