// Owns Twilio's connection overrides: what the fragment of a callback URL says about time-outs and further tries.
// https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
// Its `e` (edge location) and `sni` have no meaning on one machine. Acting on the rest is left to send-callback.ts.

const RETRY_REASONS = ['4xx', '5xx', 'ct', 'rt'] as const

/** What went wrong with a try, in the words of `rp`. */
export type RetryReason = (typeof RETRY_REASONS)[number]

export interface ConnectionOverrides {
  /** `rc`: how many tries may follow the first one. */
  retryCount: number
  /** `rp` */
  retryOn: readonly RetryReason[]
  /** `ct` */
  connectTimeoutMs: number
  /** `rt` */
  answerTimeoutMs: number
  /** `tt`: over all tries. */
  totalTimeoutMs: number
}

export type TimeoutDefaults = Pick<ConnectionOverrides, 'connectTimeoutMs' | 'answerTimeoutMs'>

/**
 * `fragment` is that of the URL, with or without its #. A parameter that Twilio would not take counts as left out;
 * Twilio also warns about it in its console (11243 and neighbours). Of a repeated one the first counts.
 */
export function readConnectionOverrides(fragment: string, defaults: TimeoutDefaults): ConnectionOverrides {
  const parameters = new URLSearchParams(fragment.replace(/^#/, ''))
  const readWhole = (name: string, min: number, max: number, byDefault: number): number => {
    const text = parameters.get(name) ?? ''
    const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
    return value >= min && value <= max ? value : byDefault
  }
  return {
    retryCount: readWhole('rc', 0, 5, 1),
    retryOn: readPolicy(parameters.get('rp')) ?? ['ct'],
    connectTimeoutMs: readWhole('ct', 100, 10_000, defaults.connectTimeoutMs),
    answerTimeoutMs: readWhole('rt', 100, 15_000, defaults.answerTimeoutMs),
    totalTimeoutMs: readWhole('tt', 100, 15_000, 15_000),
  }
}

/** Null if one of its words is unknown: the rest of a list with a mistake in it is not followed either. */
function readPolicy(text: string | null): readonly RetryReason[] | null {
  const words = (text ?? '').split(',')
  const known = words.every((word) => word === 'all' || RETRY_REASONS.some((reason) => reason === word))
  if (!known) return null
  return RETRY_REASONS.filter((reason) => words.includes('all') || words.includes(reason))
}
