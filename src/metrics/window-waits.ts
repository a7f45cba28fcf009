// How many messages wait for their send window to open. Groups of waiting messages come from the database; whether their
// window is closed is computed here, because it depends on the time zones of the recipients.
import { readDeferredGroups } from '../db/deferred-groups.ts'
import type { Circumstances } from '../delivery/decision.ts'
import { openingAt, windowOf, zonesOf } from '../delivery/message-window.ts'
import type { Db } from '../postgres/pool.ts'

/** Leaves out messages whose time zone is not known. */
export async function countWindowWaits(
  db: Db,
  circumstances: Pick<Circumstances, 'sendWindow' | 'zonesOf'>,
): Promise<number> {
  const { groups, now } = await readDeferredGroups(db, circumstances.sendWindow !== null)
  // Most groups share a few windows and time zones.
  const isClosedIn = new Map<string, boolean>()
  let count = 0
  for (const { messages, ...group } of groups) {
    const window = windowOf(group, circumstances)
    const zones = window === null ? [] : zonesOf(group, circumstances)
    if (window === null || zones.length === 0) continue
    const key = [window.from, window.to, ...zones].join(' ')
    let isClosed = isClosedIn.get(key)
    if (isClosed === undefined) {
      isClosed = openingAt(now, window, zones).startsAt > now
      isClosedIn.set(key, isClosed)
    }
    if (isClosed) count += messages
  }
  return count
}
