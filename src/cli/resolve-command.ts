// The command `resolve`: a person settles an attempt in doubt.
import type { Env } from '../config/config.ts'
import { findMessage, type StoredMessage } from '../db/messages.ts'
import { resolveMessage, type Statement } from '../messages/resolve-message.ts'
import { refuseUsage } from './arguments.ts'
import { printActionResult } from './print-action.ts'
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
    const act = (message: StoredMessage) =>
      resolveMessage({ ...deps, twilio: config.twilio }, message, statement, userName())
    const describe = ({ status, reason }: StoredMessage): string =>
      reason === null ? status : `${status}. ${reason}`
    return printActionResult(id, found, act, json, describe)
  })
}

function statementOf({ sid, notSent }: ResolveFlags): Statement {
  if ((sid === undefined) === (notSent === undefined))
    refuseUsage('Give either --sid, if Twilio has the message, or --not-sent, if it does not.')
  return sid === undefined ? 'not_sent' : { sid }
}
