// Is sending on hold, because the Twilio account fails, or paused by a person?
import { readAccountState } from '../db/account-row.ts'
import { type Hold, isStopped, type Pause } from '../delivery/account-state.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import { secondsBetween } from '../delivery/seconds.ts'
import { duration } from '../shared/figures.ts'
import { type Examine, type Finding, ok, warning } from './finding.ts'

export const examineSending: Examine = async ({ database }) => {
  const { state, now } = await readAccountState(database)
  const { hold, pause } = state
  if (!isStopped(state)) return [ok('Sending is neither on hold nor paused')]
  return [
    ...(pause === null ? [] : [pauseFinding(pause, now)]),
    ...(hold === null ? [] : [holdFinding(hold, now)]),
  ]
}

function pauseFinding({ since, by, reason }: Pause, now: Date): Finding {
  return warning(
    `Sending was paused ${ago(since, now)} by ${by}: ${reason ?? 'no reason given'}`,
    'To send again, run: sms-retry resume',
  )
}

function holdFinding({ since, errorCode }: Hold, now: Date): Finding {
  const cause = errorCode === null ? reasonOf(null) : `${errorCode}, ${reasonOf(errorCode)}`
  return warning(
    `Sending was put on hold ${ago(since, now)}, because the Twilio account failed: ${cause}`,
    'Fix the cause at Twilio, or the credentials in the environment of every process. The first successful probe ' +
      'then ends the hold. To end it now, run: sms-retry resume',
  )
}

/** Such as `12 min ago (2026-01-31T23:59:00.000Z)`. */
function ago(since: Date, now: Date): string {
  return `${duration(secondsBetween(since, now))} ago (${since.toISOString()})`
}
