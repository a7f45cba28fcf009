// An attempt in doubt and Twilio's message list: is it there? Pure; what follows is decided in decide.ts.
//
// Neither mistake may be made: to take another message for ours loses a text, to overlook ours sends it twice.
// Twilio's list has no field of ours, so the text, the time and what we know of all other attempts must do.
import type { Report } from './attempts.ts'
import type { Attempt, Listed, Message } from './message.ts'
import { LATEST_ACCEPTANCE_SECONDS } from './reconcile-time.ts'
import { isFailedAttempt } from './status.ts'
import { secondsBetween } from './transitions.ts'

export type Finding =
  | { readonly kind: 'found'; readonly report: Report }
  | { readonly kind: 'absent' }
  | { readonly kind: 'undecided'; readonly why: string }

/** Twilio's times are whole seconds. */
const ROUNDING_SECONDS = 2

/**
 * @param others every message that has the sid of an entry, and every other to the same number with an attempt whose
 *   sid is not known
 */
export function findAttempt(
  message: Message,
  attempt: Attempt,
  claimedAt: Date,
  listing: { readonly entries: readonly Listed[]; readonly isComplete: boolean },
  others: readonly Message[],
): Finding {
  if (message.body === null) return { kind: 'undecided', why: 'the row has no text to look for' }
  if (!listing.isComplete) return { kind: 'undecided', why: "Twilio's list is too long to be searched" }

  const known = sidsOf([message, ...others])
  const nobodys = listing.entries.filter(
    (entry) =>
      !known.has(entry.sid) &&
      canBeOf(claimedAt, entry) &&
      compareTexts(message.body, entry.body) !== 'other',
  )
  const rivals = [...siblingsOf(message, attempt), ...others.flatMap((other) => rivalsIn(other, message))]
  const candidates = withoutKnownRefusals(nobodys, rivals)

  const [candidate, second] = candidates
  if (candidate === undefined) return { kind: 'absent' }
  if (second !== undefined) return { kind: 'undecided', why: "several messages in Twilio's list fit" }
  if (rivals.some((rival) => isInDoubt(rival) && canBeOf(rival.claimedAt, candidate))) {
    return { kind: 'undecided', why: "a message in Twilio's list may be this or another of the same text" }
  }
  if (compareTexts(message.body, candidate.body) === 'alike') {
    return { kind: 'undecided', why: "a message in Twilio's list has a similar or hidden text" }
  }
  const { sid, status, errorCode, errorText } = candidate
  return { kind: 'found', report: { sid, status, errorCode, errorText } }
}

interface Rival {
  readonly attempt: Attempt
  readonly claimedAt: Date
}

function sidsOf(messages: readonly Message[]): ReadonlySet<string> {
  const sids = messages.flatMap(({ sid, attempts }) => [sid, ...attempts.map((attempt) => attempt.sid)])
  return new Set(sids.filter((sid) => sid !== null))
}

/** An entry that was created too early, or when the claim's request had long been given up, is another's. */
function canBeOf(claimedAt: Date, { createdAt }: Listed): boolean {
  const afterClaim = secondsBetween(claimedAt, createdAt)
  return afterClaim >= -ROUNDING_SECONDS && afterClaim <= LATEST_ACCEPTANCE_SECONDS + ROUNDING_SECONDS
}

/** Attempts without a sid of a message with this text: an entry of the list may be theirs. */
function rivalsIn(other: Message, { body }: Message): Rival[] {
  return compareTexts(body, other.body ?? '') === 'other' ? [] : other.attempts.flatMap(toRival)
}

function siblingsOf(message: Message, attempt: Attempt): Rival[] {
  return message.attempts.filter(({ number }) => number !== attempt.number).flatMap(toRival)
}

function toRival(attempt: Attempt): Rival[] {
  const { submitting } = attempt.times
  if (attempt.sid !== null || submitting === undefined) return []
  return [{ attempt, claimedAt: new Date(submitting) }]
}

function isInDoubt({ attempt }: Rival): boolean {
  return attempt.status === 'submitting'
}

/** Twilio may list what it refused, as failed. A refusal that we know of accounts for one such entry. */
function withoutKnownRefusals(entries: readonly Listed[], rivals: readonly Rival[]): Listed[] {
  const left = [...entries]
  for (const { attempt, claimedAt } of rivals) {
    if (!isFailedAttempt(attempt.status)) continue
    const index = left.findIndex(
      (entry) =>
        entry.status === 'failed' && entry.errorCode === attempt.errorCode && canBeOf(claimedAt, entry),
    )
    if (index !== -1) left.splice(index, 1)
  }
  return left
}

/**
 * Twilio may change a text on its way: trial accounts put words before it, smart encoding replaces quotation marks
 * and dashes, redaction hides it. `alike` is too much to be overlooked and too little to be adopted.
 */
export function compareTexts(ours: string | null, listed: string): 'same' | 'alike' | 'other' {
  if (ours === null || listed.trim() === '') return 'alike'
  if (plain(ours) === plain(listed)) return 'same'
  const essence = essenceOf(ours)
  // A text of signs alone has no essence, and would be alike to everything.
  return essence !== '' && essenceOf(listed).endsWith(essence) ? 'alike' : 'other'
}

/** As smart encoding leaves it: the signs that have a plain twin are that twin. */
function plain(text: string): string {
  return text
    .normalize('NFKC')
    .replaceAll(/[\u2018\u2019\u201a\u201b\u2032]/g, "'")
    .replaceAll(/[\u201c\u201d\u201e\u201f\u2033]/g, '"')
    .replaceAll(/[\u2010-\u2015\u2212]/g, '-')
    .trim()
}

/** Letters and digits, without case and accents. */
function essenceOf(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/[^\p{L}\p{N}]/gu, '')
    .toLowerCase()
}
