// Parses Twilio's connection overrides: time-outs and retries in the fragment of a callback URL.
// https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
// `e` (edge location) and `sni` have no meaning on one machine and are ignored.

const RETRY_REASONS = ['4xx', '5xx', 'ct', 'rt'] as const

/** Why a try failed, as `rp` calls it. */
export type RetryReason = (typeof RETRY_REASONS)[number]

export interface ConnectionOverrides {
  /** `rc`: the number of tries after the first one. */
  retryCount: number
  /** `rp` */
  retryOn: readonly RetryReason[]
  /** `ct` */
  connectTimeoutMs: number
  /** `rt` */
  answerTimeoutMs: number
  /** `tt`: for all tries together. */
  totalTimeoutMs: number
}

export type TimeoutDefaults = Pick<ConnectionOverrides, 'connectTimeoutMs' | 'answerTimeoutMs'>

/**
 * An invalid parameter is ignored. (Twilio also warns about it in its console, with codes such as 11243.) The first of
 * repeated parameters counts.
 *
 * @param fragment of the URL, with or without its #
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

/** Null if one of the words is unknown: then the whole list is ignored. */
function readPolicy(text: string | null): readonly RetryReason[] | null {
  const words = (text ?? '').split(',')
  const known = words.every((word) => word === 'all' || RETRY_REASONS.some((reason) => reason === word))
  if (!known) return null
  return RETRY_REASONS.filter((reason) => words.includes('all') || words.includes(reason))
}
