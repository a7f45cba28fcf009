// Owns the faults that can be switched on: their shares, and the dice thrown for one request.
// Carrying a fault out is left to the API (requests) and to message-life.ts (callbacks).
import type { CreatedAnswer, NotProcessedAnswer } from './submission-answer.ts'
import type { Random } from './seeded-random.ts'

/** Each is the share, 0..1, of callbacks or of requests that suffers the fault. */
export interface Chaos {
  dropCallbacks: number
  duplicateCallbacks: number
  reorderCallbacks: number
  delayCallbacks: number
  /** Messages with one callback more, whose status is none of Twilio's current list. */
  unknownStatus: number
  /** POSTs that are not processed: 429, 503 with HTML, 500, a proxy's 403, 404 or 407, held and cut, or cut at once. */
  rateLimit: number
  unavailable: number
  serverError: number
  proxyPage: number
  hangBefore: number
  closeBefore: number
  /** POSTs that are accepted, then held without an answer and cut. */
  hang: number
  /** POSTs that are accepted or refused, then cut in the middle of the answer. */
  reset: number
  /** POSTs that are accepted, then answered a byte at a time, for longer than any client waits. */
  drip: number
  /** POSTs that are accepted, then answered with 500, a 201 that cannot be read, or late. */
  serverErrorAfter: number
  garbage: number
  slow: number
  /** GETs, of a message or a list, answered with 500, or with a proxy's 403, 404 or 407. */
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

/** Shares that `change` does not name stay as they are. Throws a RangeError and changes nothing if one is wrong. */
export function changeChaos(current: Readonly<Chaos>, change: ChaosChange): Readonly<Chaos> {
  const next = { ...current }
  for (const [name, share] of Object.entries(change)) {
    if (!isChaosName(name)) {
      throw new RangeError(`chaos has no share "${name}"; it has ${Object.keys(NO_CHAOS).join(', ')}`)
    }
    if (share === undefined) continue
    if (typeof share !== 'number' || !(share >= 0 && share <= 1)) {
      throw new RangeError(`chaos.${name} is a share from 0 to 1 (0.1 is every tenth), not ${String(share)}`)
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
 * The faults of a POST, and how the trace calls them. They are in order of precedence: of several that are drawn
 * for one request the first happens and no other. What is not processed cannot suffer what comes afterwards.
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

/** What is wrong with a 201 that cannot be read. */
const GARBAGE = ['no_sid', 'html', 'empty', 'wrong_sid'] as const
export type Garbage = (typeof GARBAGE)[number]

/** What something between a client and Twilio refuses with. */
const PROXY_STATUSES = [403, 404, 407] as const
export type ProxyStatus = (typeof PROXY_STATUSES)[number]

export interface RequestFate {
  fault: PostFault | null
  /** Counts only if the fault is a proxy's page. */
  proxyStatus: ProxyStatus
  /** Counts only if the fault is garbage. */
  garbage: Garbage
  reorder: boolean
  unknownStatus: boolean
  /** One for each of the at most three callbacks of a message. */
  callbacks: [CallbackFate, CallbackFate, CallbackFate]
}

/**
 * Everything about a request is drawn when it arrives, and always the same number of dice. If callbacks
 * threw theirs when they are sent, the outcome would depend on timers and no seed would repeat a run.
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

/** Three dice for each GET. */
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
