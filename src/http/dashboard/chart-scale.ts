// Scales of the charts: round values and times for the axes, and positions in a stack. Pure; the charts draw them.

const MAX_STEPS = 4

/** The ticks of an axis of counts: 0 and at most four equal steps of a round size. The last is at least `max`. */
export function countTicks(max: number): readonly number[] {
  const top = Math.max(max, 1)
  const power = 10 ** Math.floor(Math.log10(top / MAX_STEPS))
  const factor = [1, 2, 5, 10].find((each) => each * power * MAX_STEPS >= top) ?? 10
  const step = Math.max(1, Math.round(factor * power))
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, i) => i * step)
}

export interface TimeTick {
  /** The index of the part that begins at this time. */
  readonly index: number
  /** `14:00`, or `Nov 24` for the begin of a day. */
  readonly label: string
}

const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const STEPS = [
  ...[5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 5, 10, 20].map((n) => n * DAY),
]

/**
 * The ticks of a time axis, in UTC: round times, as many as fit into `max`.
 *
 * @param starts when the parts begin, at equal distances
 */
export function timeTicks(starts: readonly Date[], max: number): readonly TimeTick[] {
  const ticksOf = (step: number): TimeTick[] =>
    starts.flatMap((start, index) =>
      (start.getTime() / 1000) % step === 0 ? [{ index, label: timeLabel(start) }] : [],
    )
  for (const step of STEPS) {
    const ticks = ticksOf(step)
    // A finer step than the parts would skip those that do not begin at one of its times.
    if (ticks.length <= max && step >= stepOf(starts)) return ticks
  }
  return []
}

function stepOf([first, second]: readonly Date[]): number {
  return first === undefined || second === undefined ? 0 : (second.getTime() - first.getTime()) / 1000
}

const DATE = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric', timeZone: 'UTC' })

function timeLabel(time: Date): string {
  const clock = time.toISOString().slice(11, 16)
  return clock === '00:00' ? DATE.format(time) : clock
}

export interface Layer {
  readonly from: number
  readonly to: number
}

/** Lays values on top of each other. */
export function stack(values: readonly number[]): readonly Layer[] {
  let from = 0
  return values.map((value) => {
    const layer = { from, to: from + value }
    from = layer.to
    return layer
  })
}
