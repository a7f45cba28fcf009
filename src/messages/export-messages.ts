// Reads all messages that match a filter, page by page. No transaction and no connection is held between two pages, so a slow
// reader costs the database nothing.
import { type Cursor, type Search, searchMessages } from '../db/search.ts'
import type { StoredMessage } from '../db/messages.ts'
import type { Db } from '../postgres/pool.ts'

export interface ExportLimits {
  readonly maxMessages: number
  readonly pageSize: number
  /** Ends the export before its next page. */
  readonly signal: AbortSignal
}

/**
 * The newest messages first. A message is as it was when its page was read; messages created after the first page are
 * left out.
 *
 * @param after the position to continue from; null for the newest message
 * @returns the position at which a limit ended the export; null if it is complete
 */
export async function* exportMessages(
  db: Db,
  search: Search,
  after: Cursor | null,
  { maxMessages, pageSize, signal }: ExportLimits,
): AsyncGenerator<readonly StoredMessage[], Cursor | null> {
  let position = after
  let left = maxMessages
  for (;;) {
    const { messages, next } = await searchMessages(db, search, position, { limit: Math.min(pageSize, left) })
    left -= messages.length
    if (messages.length > 0) yield messages
    if (next === null || left === 0 || signal.aborted) return next
    position = next
  }
}
