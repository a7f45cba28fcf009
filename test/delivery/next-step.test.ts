// The next step of a waiting message, depending on its due time and the state of the account.
import { describe, expect, test } from '@jest/globals'
import { type AccountState, type Hold, WORKING_ACCOUNT } from '../../src/delivery/account-state.ts'
import { nextStepOf } from '../../src/delivery/next-step.ts'
import { buildAttempt, buildMessage, NOW, secondsFromNow } from './build-message.ts'

const hold: Hold = {
  since: secondsFromNow(-60),
  errorCode: 20005,
  liftedBy: 'accepted',
  probes: 1,
  probeAt: secondsFromNow(60),
}
const onHold: AccountState = { ...WORKING_ACCOUNT, hold }
const paused: AccountState = {
  ...WORKING_ACCOUNT,
  pause: { since: secondsFromNow(-60), by: 'Ann', reason: 'Wrong text' },
}

const ON_HOLD = 'Retry 1 waits. Sending is on hold: the Twilio account fails with 20005'
const PAUSED = 'Retry 1 waits. Sending is paused: Wrong text'
const DUE = 'Retry 1 is due: a worker makes it as soon as it can'
const LATER = 'Retry 1 is due'

const failed = buildAttempt(0, 'undelivered', { errorCode: 30003 })

describe.each<[string, AccountState, readonly [due: number | null, what: string][]]>([
  [
    'works',
    WORKING_ACCOUNT,
    [
      [null, DUE],
      [0, DUE],
      [1, LATER],
    ],
  ],
  // An attempt that met the hold is due again with the next probe.
  [
    'is on hold',
    onHold,
    [
      [null, ON_HOLD],
      [0, ON_HOLD],
      [60, LATER],
      [61, LATER],
    ],
  ],
  [
    'is paused',
    paused,
    [
      [null, PAUSED],
      [0, PAUSED],
      [5, PAUSED],
      [6, LATER],
    ],
  ],
  [
    'is on hold and paused',
    { ...onHold, ...paused, hold },
    [
      [0, PAUSED],
      [60, LATER],
    ],
  ],
])('if the account %s', (_state, account, rows) => {
  test.each(rows)('a retry that is due in %p seconds has the next step "%s"', (due, what) => {
    const nextRetryAt = due === null ? null : secondsFromNow(due)
    const message = buildMessage('retrying', [failed, buildAttempt(1, 'pending')], { nextRetryAt })
    expect(nextStepOf(message, account, NOW)).toEqual({ what, at: what === LATER ? nextRetryAt : null })
  })
})

test('a message that was submitted does not wait for the end of a hold', () => {
  const submitting = buildMessage('submitting', [buildAttempt(0, 'submitting')])
  expect(nextStepOf(submitting, onHold, NOW)).toEqual(nextStepOf(submitting, WORKING_ACCOUNT, NOW))
})
