// The faults that can be switched on: the share of each, and which of them a request gets. answer-submission.ts (requests)
// and message-life.ts (callbacks) carry them out.
import type { CreatedAnswer, NotProcessedAnswer } from './submission-answer.ts'
import type { Random } from './seeded-random.ts'

/** The share, from 0 to 1, of callbacks or requests that suffer each fault. */
export interface Chaos {
  dropCallbacks: number
  duplicateCallbacks: number
  reorderCallbacks: number
  delayCallbacks: number
  /** Messages with an additional callback whose status Twilio does not document. */
  unknownStatus: number
  /** POSTs not processed: 429, 503 in HTML, 500, a proxy's 403, 404 or 407, held and then closed, or closed immediately. */
  rateLimit: number
  unavailable: number
  serverError: number
  proxyPage: number
  hangBefore: number
  closeBefore: number
  /** POSTs accepted, then held without an answer until the connection is closed. */
  hang: number
  /** POSTs accepted or refused, whose connection is closed in the middle of the answer. */
  reset: number
  /** POSTs accepted, then answered one byte at a time, for longer than any client waits. */
  drip: number
  /** POSTs accepted, then answered with 500, with an unreadable 201, or late. */
  serverErrorAfter: number
  garbage: number
  slow: number
  /** GETs of a message or a list answered with 500, or with a proxy's 403, 404 or 407. */
  lookupError: number
  lookupPage: number
}

export const NO_CHAOS: Readonly<Chaos> = Object.freeze({
  dropCallbacks: 0,
  duplicateCallbacks: 0,
  reorderCallbacks: 0,
  delayCallbacks: 0,
  unknownStatus: 0,
  rateLimit: 0,
  unavailable: 0,
  serverError: 0,
  proxyPage: 0,
  hangBefore: 0,
  closeBefore: 0,
  hang: 0,
  reset: 0,
  drip: 0,
  serverErrorAfter: 0,
  garbage: 0,
  slow: 0,
  lookupError: 0,
  lookupPage: 0,
})

export type ChaosChange = { [Name in keyof Chaos]?: number | undefined }

/**
 * Keeps the shares that `change` does not name.
 *
 * @throws RangeError if a name or a share is invalid
 */
export function changeChaos(current: Readonly<Chaos>, change: ChaosChange): Readonly<Chaos> {
  const next = { ...current }
  for (const [name, share] of Object.entries(change)) {
    if (!isChaosName(name)) {
      throw new RangeError(`chaos.${name} does not exist. Use one of: ${Object.keys(NO_CHAOS).join(', ')}`)
    }
    if (share === undefined) continue
    if (typeof share !== 'number' || !(share >= 0 && share <= 1)) {
      throw new RangeError(`chaos.${name} must be a share from 0 to 1, not ${String(share)}`)
    }
    next[name] = share
  }
  return Object.freeze(next)
}

function isChaosName(name: string): name is keyof Chaos {
  return Object.hasOwn(NO_CHAOS, name)
}

export interface CallbackFate {
  drop: boolean
  duplicate: boolean
  delay: boolean
}

/**
 * The faults of a POST and their names in the trace, in order of precedence: if several are drawn for one request, only
 * the first one happens.
 */
const POST_FAULTS = [
  ['rateLimit', 'rate_limited'],
  ['unavailable', 'unavailable'],
  ['serverError', 'server_error'],
  ['proxyPage', 'proxy_page'],
  ['hangBefore', 'hung_before'],
  ['closeBefore', 'closed_before'],
  ['hang', 'hung'],
  ['reset', 'reset'],
  ['drip', 'dripped'],
  ['serverErrorAfter', 'server_error_after'],
  ['garbage', 'garbage'],
  ['slow', 'slow'],
] as const satisfies readonly [keyof Chaos, PostFault][]

export type PostFault = NotProcessedAnswer | Exclude<CreatedAnswer, 'accepted'>

/** The ways in which a 201 can be unreadable. */
const GARBAGE = ['no_sid', 'html', 'empty', 'wrong_sid'] as const
export type Garbage = (typeof GARBAGE)[number]

/** The HTTP statuses with which a proxy refuses. */
const PROXY_STATUSES = [403, 404, 407] as const
export type ProxyStatus = (typeof PROXY_STATUSES)[number]

export interface RequestFate {
  fault: PostFault | null
  /** Used only if the fault is a proxy's page. */
  proxyStatus: ProxyStatus
  /** Used only if the fault is garbage. */
  garbage: Garbage
  reorder: boolean
  unknownStatus: boolean
  /** A message has at most three callbacks. */
  callbacks: [CallbackFate, CallbackFate, CallbackFate]
}

/**
 * Draws everything about a request when it arrives, and always the same number of random values. Drawing later, when a
 * callback is sent, would depend on timers, and a seed would not repeat a run.
 */
export function drawFate(random: Random, chaos: Readonly<Chaos>): RequestFate {
  const happens = (share: number) => random() < share
  const drawCallback = () => ({
    drop: happens(chaos.dropCallbacks),
    duplicate: happens(chaos.duplicateCallbacks),
    delay: happens(chaos.delayCallbacks),
  })
  const faults = POST_FAULTS.filter(([name]) => happens(chaos[name]))
  return {
    fault: faults[0]?.[1] ?? null,
    proxyStatus: drawProxyStatus(random),
    garbage: GARBAGE[Math.floor(random() * GARBAGE.length)] ?? 'empty',
    reorder: happens(chaos.reorderCallbacks),
    unknownStatus: happens(chaos.unknownStatus),
    callbacks: [drawCallback(), drawCallback(), drawCallback()],
  }
}

function drawProxyStatus(random: Random): ProxyStatus {
  return PROXY_STATUSES[Math.floor(random() * PROXY_STATUSES.length)] ?? 403
}

/** Draws three random values for each GET. */
export function drawLookupFault(
  random: Random,
  { lookupError, lookupPage }: Readonly<Chaos>,
): 'error' | ProxyStatus | null {
  const isError = random() < lookupError
  const isPage = random() < lookupPage
  const proxyStatus = drawProxyStatus(random)
  if (isError) return 'error'
  return isPage ? proxyStatus : null
}
