// The fault simulation with more messages and faults in one history. Needs dist/.
import { test } from '@jest/globals'
import { expectConvergence } from '../faults/expect-convergence.ts'

test.each([
  3, 4, 6,
])('seed %i: after a longer history of faults the system converges and everything holds', (seed) =>
  expectConvergence([seed], { messages: 15, minutes: 8 }))
