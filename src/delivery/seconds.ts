// Times and durations in seconds.
export function addSeconds(time: Date, seconds: number): Date {
  return new Date(time.getTime() + Math.round(seconds * 1000))
}

/** Negative if `to` is before `from`. */
export function secondsBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 1000
}
