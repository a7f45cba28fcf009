import { expect, test } from '@jest/globals'
import { shrink } from './shrink.ts'

const always = (): boolean => true

test.each([
  [[3]],
  [[0, 19]],
  [[4, 5, 6, 13]],
])('a history of twenty steps of which %j make it fail is cut down to these', async (culprits) => {
  const history = Array.from({ length: 20 }, (_, i) => i)
  const fails = async (steps: readonly number[]): Promise<boolean> =>
    culprits.every((culprit) => steps.includes(culprit))
  expect(await shrink(history, fails, always)).toEqual(culprits)
})

test('without time the history stays as it is', async () => {
  expect(
    await shrink(
      [1, 2, 3],
      async () => true,
      () => false,
    ),
  ).toEqual([1, 2, 3])
})
