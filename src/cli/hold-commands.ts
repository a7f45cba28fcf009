// The commands `pause` and `resume`, which stop and start the sending of all processes, and `status`, which shows whether
// they send and which incidents there are.
import type { Env } from '../config/config.ts'
import { changeSending, pauseSending, resumeSending } from '../db/account-row.ts'
import { requireCurrentTable } from '../db/bookkeeping.ts'
import { type AccountState, isStopped } from '../delivery/account-state.ts'
import type { Db } from '../postgres/pool.ts'
import { readHealth } from '../processes/health-watch.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import {
  accountJson,
  accountView,
  codeAndReason,
  describePauseOf,
  findingsView,
  formatUtc,
} from './hold-views.ts'
import { userName } from './user-name.ts'
import { withDatabase } from './with-database.ts'

export async function pauseCommand(env: Env, { reason }: { readonly reason?: string }): Promise<void> {
  const by = userName()
  const { pause, hold } = await change(env, (tx) => pauseSending(tx, by, reason ?? null))
  print(`Sending is paused by ${by}${reason === undefined ? '' : `: ${reason}`}`)
  if (pause !== null) print(`This replaces the pause ${describePauseOf(pause)}.`)
  if (hold !== null)
    print(`The hold since ${formatUtc(hold.since)} remains. No probe is made during the pause.`)
  printStatus(
    'Within a second, no process starts a request to Twilio. Requests under way finish. New messages are recorded, and wait.\n' +
      'To send again, run: sms-retry resume',
  )
}

export async function resumeCommand(env: Env): Promise<void> {
  const { pause, hold } = await change(env, async (tx, before) => {
    if (isStopped(before)) await resumeSending(tx)
  })
  if (pause === null && hold === null) {
    print('Nothing to resume: sending is neither paused nor on hold.')
    return
  }
  if (pause !== null) print(`Ended the pause ${describePauseOf(pause)}.`)
  if (hold === null) return
  print(`Ended the hold since ${formatUtc(hold.since)} (${codeAndReason(hold.errorCode)}).`)
  printStatus('If the Twilio account still fails, five failures put sending on hold again.')
}

/** @returns the state before the change */
function change(env: Env, work: (tx: Db, before: AccountState) => Promise<void>): Promise<AccountState> {
  return withDatabase(env, async (database) => {
    await requireCurrentTable(database)
    return changeSending(database, async (tx, state) => {
      await work(tx, state)
      return state
    })
  })
}

/** @returns false if there is a finding, a warning included: for example, sending is on hold or paused */
export async function statusCommand(env: Env, { json }: { readonly json?: true }): Promise<boolean> {
  const { account, backlog, findings } = await withDatabase(env, async (database) => {
    await requireCurrentTable(database)
    return readHealth(database)
  })
  const { hold, pause } = account.state
  if (json) printJson({ ...accountJson(account.state, backlog), findings })
  else {
    print(accountView(account, backlog))
    const view = findingsView(findings)
    if (view !== null) {
      print(view)
      printStatus('docs/incidents.md explains each finding.')
    }
    if (pause !== null) printStatus('To send again, run: sms-retry resume')
    else if (hold !== null) printStatus(END_OF_HOLD)
  }
  return findings.length === 0
}

const END_OF_HOLD =
  'Fix the cause at Twilio. The first successful probe then ends the hold. To end it now, run: sms-retry resume'
