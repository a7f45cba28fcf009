// A short run of the fault simulation: the same seeds each time, the real processes, the real database. Longer ones:
// test/endurance and docs/reliability.md. Needs dist/.
import { test } from '@jest/globals'
import { expectConvergence } from './expect-convergence.ts'

// Both kill processes. 57 also hangs requests, doubles jobs and reuses ids; 48 ends connections and delays jobs. In one
// history, because each world starts three processes.
test('seeds 57 and 48: when the faults have ended, the system converges and everything holds', () =>
  expectConvergence([57, 48], { messages: 8, minutes: 4 }))
