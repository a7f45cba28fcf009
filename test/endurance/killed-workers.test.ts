// A worker is killed at the remaining points of an attempt; test/kill/attempts.test.ts has the others. Needs dist/.
import { test } from '@jest/globals'
import { expectRecoveryFrom, type Scene } from '../kill/worker-scenes.ts'

const SCENES: readonly Scene[] = [
  { what: 'claimed, not requested', point: 'after claim', chaos: {}, left: 'submitting', answer: null },
  {
    what: 'requested, never at Twilio',
    point: 'in request',
    chaos: { hangBefore: 1 },
    left: 'submitting',
    answer: 'hung_before',
  },
  {
    what: 'accepted and answered, not recorded, without a callback',
    point: 'before record',
    chaos: { dropCallbacks: 1 },
    left: 'submitting',
    answer: 'accepted',
  },
]

test.concurrent.each(SCENES)(
  'a worker is killed with an attempt $what: another worker continues it',
  expectRecoveryFrom,
)
