// The command `resolve`: a person settles an attempt in doubt.
import type { Env } from '../config/config.ts'
import { findMessage } from '../db/messages.ts'
import { resolveMessage, type Statement } from '../messages/resolve-message.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { refuseUsage } from './arguments.ts'
import { messageJson } from './message-views.ts'
import { userName } from './user-name.ts'
import { withRecording } from './with-database.ts'

export interface ResolveFlags {
  readonly sid?: string
  readonly notSent?: true
  readonly json?: true
}

/** @returns false if nothing was changed */
export async function resolveCommand(env: Env, id: number, flags: ResolveFlags): Promise<boolean> {
  const { json } = flags
  const statement = statementOf(flags)
  // Twilio is asked for the message before its sid is adopted.
  const required = statement === 'not_sent' ? [] : (['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN'] as const)
  return withRecording(env, ['DATABASE_URL', ...required], async (deps, { database, config }) => {
    const found = await findMessage(database, id)
    const result =
      found === null
        ? null
        : await resolveMessage({ ...deps, twilio: config.twilio }, found, statement, userName())
    if (found === null || result === null || result.outcome === 'unknown_message') {
      printStatus(`Message ${id} does not exist.`)
      return false
    }
    const { outcome } = result
    if (outcome === 'nothing_to_do') {
      const { why } = result
      if (json) printJson({ id, outcome, why, message: messageJson(found) })
      printStatus(`Message ${id} was not changed: ${why}.`)
      return false
    }
    const message = { ...found, ...result.message }
    if (json) printJson({ id, outcome, message: messageJson(message) })
    else print(`message ${id}: ${message.status}${message.reason === null ? '' : `. ${message.reason}`}`)
    return true
  })
}

function statementOf({ sid, notSent }: ResolveFlags): Statement {
  if ((sid === undefined) === (notSent === undefined))
    refuseUsage('Give either --sid, if Twilio has the message, or --not-sent, if it does not.')
  return sid === undefined ? 'not_sent' : { sid }
}
