// The faults that can be switched on: the share of each, and the draw for each request. answer-submission.ts injects the
// faults of requests; message-lifecycle.ts injects those of callbacks.
import type { CreatedAnswer, NotProcessedAnswer } from './submission-answer.ts'
import type { Random } from './seeded-random.ts'

/** The share, from 0 to 1, of callbacks or requests with each fault. */
export interface Chaos {
  dropCallbacks: number
  duplicateCallbacks: number
  reorderCallbacks: number
  delayCallbacks: number
  /** Messages with an additional callback whose status Twilio does not document. */
  unknownStatus: number
  // POSTs that are not processed:
  /** Answered with 429. */
  rateLimit: number
  /** Answered with 503, in HTML. */
  unavailable: number
  /** Answered with 500. */
  serverError: number
  /** Answered with a proxy's 403, 404 or 407. */
  proxyPage: number
  /** Held without an answer until the connection is closed. */
  hangBefore: number
  /** The connection is closed immediately. */
  closeBefore: number
  // POSTs that are accepted:
  /** Held without an answer until the connection is closed. */
  hang: number
  /** The connection is closed in the middle of the answer. Also applies to refused POSTs. */
  reset: number
  /** Answered one byte at a time, for longer than any client waits. */
  drip: number
  /** Answered with 500. */
  serverErrorAfter: number
  /** Answered with an unreadable 201. */
  garbage: number
  /** Answered late. */
  slow: number
  // GETs of a message or a list:
  /** Answered with 500. */
  lookupError: number
  /** Answered with a proxy's 403, 404 or 407. */
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

export interface CallbackFaults {
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

export interface RequestFaults {
  post: PostFault | null
  /** Used only if `post` is a proxy's page. */
  proxyStatus: ProxyStatus
  /** Used only if `post` is garbage. */
  garbage: Garbage
  reorder: boolean
  unknownStatus: boolean
  /** A message has at most three callbacks. */
  callbacks: [CallbackFaults, CallbackFaults, CallbackFaults]
}

/**
 * Draws all faults of a request when it arrives, and always the same number of random values. If callbacks drew theirs when
 * they are sent, the order would depend on timers, and the same seed would not repeat a run.
 */
export function drawFaults(random: Random, chaos: Readonly<Chaos>): RequestFaults {
  const happens = (share: number) => random() < share
  const drawCallback = () => ({
    drop: happens(chaos.dropCallbacks),
    duplicate: happens(chaos.duplicateCallbacks),
    delay: happens(chaos.delayCallbacks),
  })
  const postFaults = POST_FAULTS.filter(([name]) => happens(chaos[name]))
  return {
    post: postFaults[0]?.[1] ?? null,
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

/** Always draws three random values, so that a seed repeats a run. */
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
