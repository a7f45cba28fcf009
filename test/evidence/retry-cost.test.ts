// Tests what the retries of an error code cost for each recovered message.
import { expect, test } from '@jest/globals'
import { segmentsPerRecovered } from '../../src/evidence/retry-cost.ts'

test.each([
  ['every retry has known segments', { retries: 10, segments: 20, segmentsUnknown: 0, recovered: 4 }, 5],
  [
    'a retry without known segments counts as the average one',
    { retries: 10, segments: 10, segmentsUnknown: 5, recovered: 4 },
    5,
  ],
  ['nothing was recovered', { retries: 10, segments: 20, segmentsUnknown: 0, recovered: 0 }, null],
  ['no retry was made', { retries: 0, segments: 0, segmentsUnknown: 0, recovered: 3 }, null],
  ['no segments are known', { retries: 3, segments: 0, segmentsUnknown: 3, recovered: 3 }, null],
])('%s', (_what, figures, segments) => {
  expect(segmentsPerRecovered(figures)).toBe(segments)
})
