// Owns the faults that can be switched on: their shares, and the dice thrown for one request.
// Carrying a fault out is left to the API (requests) and to message-life.ts (callbacks).
import type { Random } from './seeded-random.ts'

/** Each is the share, 0..1, of callbacks or of requests to create a message that suffers the fault. */
export interface Chaos {
  dropCallbacks: number
  duplicateCallbacks: number
  reorderCallbacks: number
  delayCallbacks: number
  hang: number
  rateLimit: number
  serverError: number
}

export const NO_CHAOS: Readonly<Chaos> = Object.freeze({
  dropCallbacks: 0,
  duplicateCallbacks: 0,
  reorderCallbacks: 0,
  delayCallbacks: 0,
  hang: 0,
  rateLimit: 0,
  serverError: 0,
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

export interface RequestFate {
  rateLimit: boolean
  serverError: boolean
  hang: boolean
  reorder: boolean
  /** One for each of the at most two callbacks of a message. */
  callbacks: [CallbackFate, CallbackFate]
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
  return {
    rateLimit: happens(chaos.rateLimit),
    serverError: happens(chaos.serverError),
    hang: happens(chaos.hang),
    reorder: happens(chaos.reorderCallbacks),
    callbacks: [drawCallback(), drawCallback()],
  }
}
