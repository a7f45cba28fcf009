// Finds an attempt in doubt in Twilio's message list. decide.ts decides the next step.
//
// Both mistakes are costly: a wrong match loses a text, and a missed match sends it twice. Twilio's list has no field
// for our id. So an attempt is matched by its text, its time, and the facts known about all other attempts.
import type { Report } from './attempts.ts'
import type { Attempt, Event, ListedMessage, Message } from './message.ts'
import { LATEST_ACCEPTANCE_SECONDS } from './reconcile-time.ts'
import { type AttemptStatus, isFailedAttempt } from './status.ts'
import { secondsBetween } from './seconds.ts'

export type Finding =
  | { readonly kind: 'found'; readonly report: Report }
  | { readonly kind: 'absent' }
  | { readonly kind: 'undecided'; readonly why: string }

type Listing = Extract<Event, { kind: 'listed' }>

/** Twilio's list can be searched only for numbers in this form. The app may have stored another form. */
const E164 = /^\+[1-9]\d{6,14}$/

/**
 * @param listing `others` must hold each message that has the sid of an entry, and each other message to the same
 *   number with an attempt whose sid is not known
 */
export function findAttempt(message: Message, attempt: Attempt, listing: Listing): Finding {
  const { claimedAt, isComplete } = listing
  const { body } = message
  if (body === null) return undecided('the row has no text to search for')
  if (!isComplete) return undecided("Twilio's message list is too long to search")
  const rivals = rivalsOf(message, attempt, listing, body)
  const unexplained = withoutKnownRefusals(unknownEntries(message, listing, body), rivals, listing)
  const candidates = unexplained.filter(({ createdAt }) => isWithin(claimedAt, createdAt, listing))
  const [candidate, ...more] = candidates
  if (candidate === undefined) return noCandidate(message, listing)

  const inDoubt = rivals.filter(
    (rival) =>
      rival.status === 'submitting' &&
      candidates.some(({ createdAt }) => isWithin(rival.claimedAt, createdAt, listing)),
  )
  const { status, errorCode, errorText, billing } = candidate
  if (more.length > 0) {
    // If each attempt in doubt has one entry, and all failed alike, it does not matter which entry belongs to which
    // attempt.
    const isOneEach = candidates.length === 1 + inDoubt.length
    return isOneEach && candidates.every((entry) => failedAlike(entry, candidate, body))
      ? { kind: 'found', report: { sid: null, status, errorCode, errorText } }
      : undecided("several entries of Twilio's message list match")
  }
  if (inDoubt.length > 0) {
    return undecided(
      "an entry of Twilio's message list may be this message, or another one with the same text",
    )
  }
  if (compareTexts(body, candidate.body) === 'alike') {
    return undecided("an entry of Twilio's message list has a similar or hidden text")
  }
  // If a known refusal matches too, the sid may belong to it. A wrong sid would block the callback of the other
  // attempt.
  const isAmbiguous = rivals.some((rival) => explains(rival, candidate, listing))
  return {
    kind: 'found',
    report: isAmbiguous
      ? { sid: null, status, errorCode, errorText }
      : { sid: candidate.sid, status, errorCode, errorText, ...(billing && { billing }) },
  }
}

function undecided(why: string): Finding {
  return { kind: 'undecided', why }
}

function noCandidate({ to }: Message, { isRewritten }: Listing): Finding {
  if (isRewritten === true) {
    return undecided(
      'Twilio stores the number in another form, so searching its list for this form finds nothing',
    )
  }
  return E164.test(to)
    ? { kind: 'absent' }
    : undecided("the number is not in E.164, so Twilio's list cannot be searched for it")
}

/** The entries with this text whose sid no row has, oldest first. */
function unknownEntries(message: Message, { entries, others }: Listing, body: string): ListedMessage[] {
  const known = sidsOf([message, ...others])
  return entries
    .filter((entry) => !known.has(entry.sid) && compareTexts(body, entry.body) !== 'other')
    .toSorted((one, other) => one.createdAt.getTime() - other.createdAt.getTime())
}

/** The other attempts that an entry may belong to, oldest claim first. */
function rivalsOf(message: Message, attempt: Attempt, listing: Listing, body: string): Rival[] {
  return [
    ...message.attempts.filter(({ number }) => number !== attempt.number),
    ...listing.others.flatMap((other) =>
      compareTexts(body, other.body ?? '') === 'other' ? [] : other.attempts,
    ),
  ]
    .flatMap(toRival)
    .filter(({ account }) => account === null || attempt.account === null || account === attempt.account)
    .filter(({ claimedAt }) => mayOverlap(claimedAt, listing.claimedAt, listing))
    .toSorted((one, other) => one.claimedAt.getTime() - other.claimedAt.getTime())
}

/** Another attempt without a sid, which may own an entry of the list. */
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

/** False for an entry that was created before the claim, or later than Twilio can have accepted its request. */
function isWithin(claimedAt: Date, createdAt: Date, { toleranceSeconds }: Listing): boolean {
  const afterClaim = secondsBetween(claimedAt, createdAt)
  return afterClaim >= -toleranceSeconds && afterClaim <= LATEST_ACCEPTANCE_SECONDS + toleranceSeconds
}

/** Whether one entry can belong to both claims. The list may not reach back to the entries of older rivals. */
function mayOverlap(claim: Date, other: Date, { toleranceSeconds }: Listing): boolean {
  return Math.abs(secondsBetween(claim, other)) <= LATEST_ACCEPTANCE_SECONDS + 2 * toleranceSeconds
}

/**
 * Removes an entry for each known refusal, because Twilio may list a refused message as `failed`. Both lists are sorted
 * by time, and each refusal takes the first entry that fits. All claims have time windows of the same length, so this
 * removes as many entries as possible.
 */
function withoutKnownRefusals(
  entries: readonly ListedMessage[],
  rivals: readonly Rival[],
  listing: Listing,
): ListedMessage[] {
  const left = [...entries]
  for (const rival of rivals) {
    const index = left.findIndex((entry) => explains(rival, entry, listing))
    if (index !== -1) left.splice(index, 1)
  }
  return left
}

function explains({ status, errorCode, claimedAt }: Rival, entry: ListedMessage, listing: Listing): boolean {
  const isAlike = isFailedAttempt(status) && entry.status === 'failed' && entry.errorCode === errorCode
  return isAlike && isWithin(claimedAt, entry.createdAt, listing)
}

function failedAlike(one: ListedMessage, other: ListedMessage, body: string): boolean {
  const areAlike = one.status === 'failed' && one.errorCode === other.errorCode
  return areAlike && compareTexts(body, one.body) === 'same'
}

/**
 * Compares the text that was sent with a listed one. Twilio may change a text: trial accounts prepend words, smart
 * encoding replaces quotation marks and dashes, and redaction hides it. `alike` means that the texts may be the same,
 * without proof.
 */
export function compareTexts(ours: string | null, listed: string): 'same' | 'alike' | 'other' {
  if (ours === null || listed.trim() === '' || /redacted/i.test(listed)) return 'alike'
  const [one, other] = [plain(ours), plain(listed)]
  if (one === other) return 'same'
  const letters = lettersAndDigitsOf(ours)
  // If the text has no letters and digits, `letters` is empty, and every text ends with it.
  const isAlike = other.endsWith(one) || (letters !== '' && lettersAndDigitsOf(listed).endsWith(letters))
  return isAlike ? 'alike' : 'other'
}

/** The text with the plain quotation marks and dashes that smart encoding uses. */
function plain(text: string): string {
  return text
    .normalize('NFKC')
    .replaceAll(/[\u2018\u2019\u201a\u201b\u2032\u02bb\u02bc]/g, "'")
    .replaceAll(/[\u201c\u201d\u201e\u201f\u2033]/g, '"')
    .replaceAll(/[\u2010-\u2015\u2212]/g, '-')
    .trim()
}

/** Only the letters and digits, without case, accents and modifier letters. */
function lettersAndDigitsOf(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/[^\p{L}\p{N}]|\p{Lm}/gu, '')
    .toLowerCase()
}
