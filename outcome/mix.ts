// The mix of failures: how many of 100,000 messages meet each cause, the codes that Twilio reports for it, and when it ends.
// docs/outcome.md has the source of each number, or the reason for assuming it.
import type { Cause, FailureKind } from './cause.ts'
import type { Recovery } from './recovery.ts'

export const MIXES = ['low', 'central', 'high'] as const
export type MixName = (typeof MIXES)[number]

/** How soon a handset that is off comes back after Twilio reports it. `stored`: the carrier has tried for days before. */
export const HANDSETS = ['central', 'slow', 'fast', 'stored'] as const
export type Handsets = (typeof HANDSETS)[number]

const NEVER: Recovery = { kind: 'never' }

/** Pairs of a share and the mean of an exponential, in minutes. */
function mixture(...parts: readonly (readonly [share: number, meanMinutes: number])[]): Recovery {
  return { kind: 'mixture', parts: parts.map(([share, meanMinutes]) => ({ share, meanMinutes })) }
}

/** Curve A of docs/outcome.md. The other curves have their letters below. */
const HANDSET_CURVES: Readonly<Record<Handsets, Recovery>> = {
  central: mixture([0.35, 10], [0.35, 120], [0.27, 480]),
  slow: mixture([0.15, 10], [0.35, 120], [0.4, 480]),
  fast: mixture([0.6, 10], [0.25, 120], [0.12, 480]),
  stored: mixture([0.6, 1440]),
}

const CURVE_B = mixture([0.85, 1440])
const CURVE_C: Recovery = { kind: 'log_normal', medianMinutes: 180, sigma: 1.2 }
const CURVE_D = mixture([0.3, 0], [0.5, 20], [0.2, 240])
const CURVE_E = mixture([1, 30])
const CURVE_F: Recovery = { kind: 'time_of_day', time: '00:00', timeZone: 'America/Los_Angeles' }
const CURVE_G_RATE = mixture([1, 5])
const CURVE_G_REQUESTS = mixture([1, 5 / 60])
const CURVE_G_ERRORS = mixture([0.9, 0], [0.1, 10])

type Counts = readonly [low: number, central: number, high: number]

interface Row {
  readonly id: string
  /** Of 100,000 messages. */
  readonly counts: Counts
  readonly codes: Cause['codes']
  readonly recovery: Recovery | 'handset'
  readonly failsBy?: FailureKind
  readonly isOutage?: true
  readonly lateCopyShare?: number
}

/** One code for all messages of a cause. */
const only = (code: number): Cause['codes'] => [{ code, share: 1 }]

/** A share of the messages that were reported as failed arrives later. */
const LATE_COPIES = 0.01

const ROWS: readonly Row[] = [
  // Permanent
  {
    id: 'P1 number dead',
    counts: [400, 1500, 5700],
    codes: codes([30005, 0.8], [30003, 0.2]),
    recovery: NEVER,
  },
  {
    id: 'P2 landline',
    counts: [150, 600, 3000],
    codes: codes([30006, 0.83], [30003, 0.17]),
    recovery: NEVER,
  },
  { id: 'P3 filtered', counts: [150, 500, 1500], codes: codes([30007, 0.8], [30003, 0.2]), recovery: NEVER },
  { id: 'P4 blocked', counts: [50, 150, 300], codes: only(30004), recovery: NEVER },
  { id: 'P5 no reason, permanent', counts: [80, 200, 400], codes: only(30008), recovery: NEVER },
  { id: 'P6 malformed', counts: [50, 200, 1000], codes: only(21211), recovery: NEVER, failsBy: 'refusal' },
  { id: 'P7 opted out', counts: [100, 400, 1500], codes: only(21610), recovery: NEVER, failsBy: 'refusal' },
  { id: 'P8 not registered', counts: [0, 50, 300], codes: only(30034), recovery: NEVER },
  // Temporary
  {
    id: 'T1 handset off',
    counts: [600, 1300, 2000],
    codes: only(30003),
    recovery: 'handset',
    lateCopyShare: LATE_COPIES,
  },
  { id: 'T2 handset off, as unknown', counts: [60, 150, 300], codes: only(30005), recovery: 'handset' },
  { id: 'T3 handset away', counts: [100, 300, 600], codes: only(30003), recovery: CURVE_B },
  {
    id: 'T4 network outage',
    counts: [50, 150, 500],
    codes: codes([30003, 2 / 3], [30008, 1 / 5], [30017, 2 / 15]),
    recovery: CURVE_C,
    isOutage: true,
    lateCopyShare: LATE_COPIES,
  },
  { id: 'T5 no reason, temporary', counts: [100, 250, 600], codes: only(30008), recovery: CURVE_D },
  { id: 'T6 carrier silent', counts: [10, 30, 50], codes: only(30410), recovery: CURVE_E },
  { id: 'T7 queue of the service full', counts: [5, 25, 100], codes: only(30001), recovery: CURVE_E },
  {
    id: 'T7 queue of the number full',
    counts: [5, 25, 100],
    codes: only(21611),
    recovery: CURVE_E,
    failsBy: 'refusal',
  },
  { id: 'T8 daily cap', counts: [16, 80, 800], codes: codes([30023, 0.5], [30027, 0.5]), recovery: CURVE_F },
  { id: 'T8 rate of the carrier', counts: [4, 20, 200], codes: only(30022), recovery: CURVE_G_RATE },
  {
    id: 'T9 too many requests',
    counts: [50, 200, 500],
    codes: only(20429),
    recovery: CURVE_G_REQUESTS,
    failsBy: 'not_processed',
  },
  {
    id: 'T10 no answer',
    counts: [20, 50, 100],
    codes: codes([20500, 1 / 3], [20503, 1 / 3], [null, 1 / 3]),
    recovery: CURVE_G_ERRORS,
    failsBy: 'no_answer',
  },
]

function codes(...shares: readonly (readonly [code: number | null, share: number])[]): Cause['codes'] {
  return shares.map(([code, share]) => ({ code, share }))
}

/** The causes that a look-up of the number can find before a message is sent. */
const FOUND_BY_LOOK_UP = ['P1', 'P2']

/**
 * The causes of this mix, as shares of all messages.
 *
 * @param lookedUp the share of dead numbers and landlines to which nothing is sent, because they were looked up
 */
export function causesOf(mix: MixName, handsets: Handsets, lookedUp = 0): readonly Cause[] {
  const column = MIXES.indexOf(mix)
  return ROWS.map(({ counts, recovery, ...row }) => {
    const isFound = FOUND_BY_LOOK_UP.some((id) => row.id.startsWith(`${id} `))
    return {
      failsBy: 'report',
      ...row,
      share: ((counts[column] ?? 0) / 100_000) * (isFound ? 1 - lookedUp : 1),
      recovery: recovery === 'handset' ? HANDSET_CURVES[handsets] : recovery,
    }
  })
}
