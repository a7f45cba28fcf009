// A short run of the fault simulation: the same seeds each time, the real processes, the real database. Longer ones:
// test/endurance and docs/reliability.md. Needs dist/.
import { test } from '@jest/globals'
import { expectConvergence } from './expect-convergence.ts'

// Both kill processes. 48 also ends connections and delays jobs; 57 hangs requests, doubles jobs and reuses ids.
test.each([
  48, 57,
])('seed %i: when the faults have ended, the system converges and everything holds', (seed) =>
  expectConvergence(seed, { messages: 8, minutes: 4 }))
