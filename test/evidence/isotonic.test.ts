// Tests isotonic regression on small tables that can be checked by hand.
import { expect, test } from '@jest/globals'
import { poolViolators } from '../../src/evidence/isotonic.ts'

/** Pairs of successes and trials. */
const pooled = (...groups: readonly (readonly [number, number])[]): string[] =>
  poolViolators(groups.map(([successes, trials]) => ({ successes, trials }))).map(
    ({ successes, trials }) => `${successes}/${trials}`,
  )

test.each<[string, readonly (readonly [number, number])[], readonly string[]]>([
  [
    'rise',
    [
      [1, 10],
      [2, 10],
      [3, 10],
    ],
    ['1/10', '2/10', '3/10'],
  ],
  [
    'are equal',
    [
      [1, 10],
      [2, 20],
    ],
    ['1/10', '2/20'],
  ],
  [
    'fall',
    [
      [3, 10],
      [2, 10],
    ],
    ['5/20', '5/20'],
  ],
  [
    'fall below an earlier pool',
    [
      [2, 10],
      [4, 10],
      [1, 10],
    ],
    ['2/10', '5/20', '5/20'],
  ],
  [
    'fall below all',
    [
      [3, 10],
      [4, 10],
      [0, 20],
    ],
    ['7/40', '7/40', '7/40'],
  ],
  [
    'have no trials',
    [
      [3, 10],
      [0, 0],
      [5, 10],
    ],
    ['3/10', '0/0', '5/10'],
  ],
])('shares that %s keep their order and their total', (_what, groups, expected) => {
  expect(pooled(...groups)).toEqual(expected)
})

test('groups of one pool have the same counts object, so that one share is drawn for them', () => {
  const [one, two] = poolViolators([
    { successes: 3, trials: 10 },
    { successes: 2, trials: 10 },
  ])
  expect(one).toBe(two)
})
