// An attempt in doubt and Twilio's message list: is it there? Pure; what follows is decided in decide.ts.
//
// Neither mistake may be made: to take another message for ours loses a text, to overlook ours sends it twice.
// Twilio's list has no field of ours, so the text, the time and what we know of all other attempts must do.
import type { Report } from './attempts.ts'
import type { Attempt, Event, ListedMessage, Message } from './message.ts'
import { LATEST_ACCEPTANCE_SECONDS } from './reconcile-time.ts'
import { type AttemptStatus, isFailedAttempt } from './status.ts'
import { secondsBetween } from './transitions.ts'

export type Finding =
  | { readonly kind: 'found'; readonly report: Report }
  | { readonly kind: 'absent' }
  | { readonly kind: 'undecided'; readonly why: string }

type Listing = Extract<Event, { kind: 'listed' }>

/** Numbers in another form, as others may have written them, are not found in Twilio's list. */
const E164 = /^\+[1-9]\d{6,14}$/

/**
 * @param listing its `others`: every message that has the sid of an entry, and every other to the same number with an
 *   attempt whose sid is not known
 */
export function findAttempt(message: Message, attempt: Attempt, listing: Listing): Finding {
  const { claimedAt, entries, isComplete, others } = listing
  const { body } = message
  if (body === null) return { kind: 'undecided', why: 'the row has no text to look for' }
  if (!isComplete) return { kind: 'undecided', why: "Twilio's list cannot be searched to its end" }
  const canBeOf = (claim: Date, { createdAt }: ListedMessage): boolean => isWithin(claim, createdAt, listing)

  const known = sidsOf([message, ...others])
  const nobodys = entries
    .filter((entry) => !known.has(entry.sid) && compareTexts(body, entry.body) !== 'other')
    .toSorted((one, other) => one.createdAt.getTime() - other.createdAt.getTime())
  const rivals = [
    ...message.attempts.filter(({ number }) => number !== attempt.number),
    ...others.flatMap((other) => (compareTexts(body, other.body ?? '') === 'other' ? [] : other.attempts)),
  ]
    .flatMap(toRival)
    .filter(({ account }) => account === null || attempt.account === null || account === attempt.account)
    .filter(({ claimedAt: claim }) => mayOverlap(claim, claimedAt, listing))
    .toSorted((one, other) => one.claimedAt.getTime() - other.claimedAt.getTime())
  const candidates = withoutKnownRefusals(nobodys, rivals, canBeOf).filter((entry) =>
    canBeOf(claimedAt, entry),
  )

  const [candidate, second] = candidates
  if (candidate === undefined) {
    if (listing.isRewritten === true)
      return {
        kind: 'undecided',
        why: 'Twilio keeps the number in another form, and its list is by that form',
      }
    return E164.test(message.to)
      ? { kind: 'absent' }
      : { kind: 'undecided', why: 'the number is not in E.164, and cannot be looked for' }
  }
  const inDoubt = rivals.filter(
    ({ status, claimedAt: claim }) =>
      status === 'submitting' && candidates.some((entry) => canBeOf(claim, entry)),
  )
  const { status, errorCode, errorText } = candidate
  if (second !== undefined) {
    // One each, and all of them failed alike: whose is whose does not matter. A callback names its attempt and its sid.
    const isOneEach = candidates.length === 1 + inDoubt.length
    if (isOneEach && candidates.every((entry) => failedAlike(entry, candidate, body))) {
      return { kind: 'found', report: { sid: null, status, errorCode, errorText } }
    }
    return { kind: 'undecided', why: "several messages in Twilio's list fit" }
  }
  if (inDoubt.length > 0) {
    return { kind: 'undecided', why: "a message in Twilio's list may be this or another of the same text" }
  }
  if (compareTexts(body, candidate.body) === 'alike') {
    return { kind: 'undecided', why: "a message in Twilio's list has a similar or hidden text" }
  }
  // The known refusals have taken one each, but which? A wrong sid would stand in the way of the other's callback.
  const mayBeAnothers = rivals.some((rival) => accountsFor(rival, candidate, canBeOf))
  return {
    kind: 'found',
    report: { sid: mayBeAnothers ? null : candidate.sid, status, errorCode, errorText },
  }
}

/** An attempt without a sid: an entry of the list may be its. */
interface Rival {
  readonly status: AttemptStatus
  readonly errorCode: number | null
  readonly claimedAt: Date
  readonly account: string | null
}

function toRival({ sid, status, errorCode, times, account }: Attempt): Rival[] {
  if (sid !== null || times.submitting === undefined) return []
  return [{ status, errorCode, account, claimedAt: new Date(times.submitting) }]
}

function sidsOf(messages: readonly Message[]): ReadonlySet<string> {
  const sids = messages.flatMap(({ sid, attempts }) => [sid, ...attempts.map((attempt) => attempt.sid)])
  return new Set(sids.filter((sid) => sid !== null))
}

/** What was created too early, or when the claim's request had long been given up, is another's. */
function isWithin(claimedAt: Date, createdAt: Date, { toleranceSeconds }: Listing): boolean {
  const afterClaim = secondsBetween(claimedAt, createdAt)
  return afterClaim >= -toleranceSeconds && afterClaim <= LATEST_ACCEPTANCE_SECONDS + toleranceSeconds
}

/** Whether one message can be of both claims. What is older need not be in the list, and must not take what is. */
function mayOverlap(claim: Date, other: Date, { toleranceSeconds }: Listing): boolean {
  return Math.abs(secondsBetween(claim, other)) <= LATEST_ACCEPTANCE_SECONDS + 2 * toleranceSeconds
}

/**
 * Twilio may list what it refused, as failed. A refusal that we know of accounts for one such entry. Both are in the
 * order of their times, and each refusal takes the first entry that it can: claims are open for equally long, so this
 * accounts for as many entries as possible.
 */
function withoutKnownRefusals(
  entries: readonly ListedMessage[],
  rivals: readonly Rival[],
  canBeOf: (claim: Date, entry: ListedMessage) => boolean,
): ListedMessage[] {
  const left = [...entries]
  for (const rival of rivals) {
    const index = left.findIndex((entry) => accountsFor(rival, entry, canBeOf))
    if (index !== -1) left.splice(index, 1)
  }
  return left
}

function accountsFor(
  { status, errorCode, claimedAt }: Rival,
  entry: ListedMessage,
  canBeOf: (claim: Date, entry: ListedMessage) => boolean,
): boolean {
  const isAlike = isFailedAttempt(status) && entry.status === 'failed' && entry.errorCode === errorCode
  return isAlike && canBeOf(claimedAt, entry)
}

function failedAlike(one: ListedMessage, other: ListedMessage, body: string): boolean {
  const areAlike = one.status === 'failed' && one.errorCode === other.errorCode
  return areAlike && compareTexts(body, one.body) === 'same'
}

/**
 * Twilio may change a text on its way: trial accounts put words before it, smart encoding replaces quotation marks
 * and dashes, redaction hides it. `alike` is too much to be overlooked and too little to be adopted.
 */
export function compareTexts(ours: string | null, listed: string): 'same' | 'alike' | 'other' {
  if (ours === null || listed.trim() === '' || /redacted/i.test(listed)) return 'alike'
  const [one, other] = [plain(ours), plain(listed)]
  if (one === other) return 'same'
  const essence = essenceOf(ours)
  // A text of signs alone has no essence, and would be alike to everything.
  const isAlike = other.endsWith(one) || (essence !== '' && essenceOf(listed).endsWith(essence))
  return isAlike ? 'alike' : 'other'
}

/** As smart encoding leaves it: the signs that have a plain twin are that twin. */
function plain(text: string): string {
  return text
    .normalize('NFKC')
    .replaceAll(/[\u2018\u2019\u201a\u201b\u2032\u02bb\u02bc]/g, "'")
    .replaceAll(/[\u201c\u201d\u201e\u201f\u2033]/g, '"')
    .replaceAll(/[\u2010-\u2015\u2212]/g, '-')
    .trim()
}

/** Letters and digits, without case, accents and the signs that count as letters. */
function essenceOf(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/[^\p{L}\p{N}]|\p{Lm}/gu, '')
    .toLowerCase()
}
