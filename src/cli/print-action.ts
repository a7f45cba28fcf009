// Prints what became of an action on one message, for the commands `retry`, `cancel` and `resolve`.
import type { StoredMessage } from '../db/messages.ts'
import type { ActionResult } from '../messages/act-on-message.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { messageJson } from './message-views.ts'

/**
 * @param found null if there is no such message
 * @param describe the changed message, in words
 * @returns false if nothing was changed
 */
export async function printActionResult(
  id: number,
  found: StoredMessage | null,
  act: (found: StoredMessage) => Promise<ActionResult>,
  json: true | undefined,
  describe: (message: StoredMessage) => string | Promise<string>,
): Promise<boolean> {
  const result = found === null ? null : await act(found)
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
  else print(`message ${id}: ${await describe(message)}`)
  return true
}
