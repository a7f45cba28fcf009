// Which parts of a message people may see. Numbers are masked unless DASHBOARD_SHOW_CONTENT is set.
import type { StoredMessage } from '../../db/messages.ts'
import { maskNumber, maskReason } from '../../shared/log.ts'

export function shownNumber({ to }: Pick<StoredMessage, 'to'>, showContent: boolean): string {
  return showContent ? to : maskNumber(to)
}

/** The app may use the recipient's number as the id of the user. */
export function shownUser(
  { userId, to }: Pick<StoredMessage, 'userId' | 'to'>,
  showContent: boolean,
): number | string | null {
  if (userId === null || showContent) return userId
  const masked = maskReason(`${userId}`, to)
  return masked === `${userId}` ? userId : masked
}

export function shownReason(
  { reason, to }: Pick<StoredMessage, 'reason' | 'to'>,
  showContent: boolean,
): string | null {
  return reason === null || showContent ? reason : maskReason(reason, to)
}

/** The app's own metadata as JSON; null if there is none. */
export function metadataJson(
  { metadata, to }: Pick<StoredMessage, 'metadata' | 'to'>,
  showContent: boolean,
  indent?: number,
): string | null {
  if (Object.keys(metadata).length === 0) return null
  return shownText(JSON.stringify(metadata, null, indent), to, showContent)
}

const MAX_SHORT_VALUES = 2
const MAX_SHORT_LENGTH = 24

/** The first values of the app's own metadata, each as the filter takes it: `order=1001`. Nested ones come last. */
export function shortMetadata({ metadata, to }: StoredMessage, showContent: boolean): readonly string[] {
  const isNested = ([, value]: [string, unknown]): number =>
    Number(typeof value === 'object' && value !== null)
  const entries = Object.entries(metadata).toSorted((one, other) => isNested(one) - isNested(other))
  const shown = entries.slice(0, MAX_SHORT_VALUES).map(([key, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return shortened(shownText(`${key}=${text}`, to, showContent))
  })
  const more = entries.length - shown.length
  return more > 0 ? [...shown, `and ${more} more`] : shown
}

function shortened(text: string): string {
  const characters = [...text]
  return characters.length <= MAX_SHORT_LENGTH
    ? text
    : `${characters.slice(0, MAX_SHORT_LENGTH - 1).join('')}…`
}

/** JSON may contain half of a surrogate pair, which has no form in UTF-8. */
function shownText(text: string, to: string, showContent: boolean): string {
  return (showContent ? text : maskReason(text, to)).toWellFormed()
}
