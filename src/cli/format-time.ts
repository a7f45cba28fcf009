// How the commands print times: in UTC, without the T and the zone.

/** `2026-01-31 23:59:00`; empty for null. */
export function formatTime(at: Date | null): string {
  return at === null ? '' : at.toISOString().slice(0, 'yyyy-mm-dd hh:mm:ss'.length).replace('T', ' ')
}

/** `2026-01-31 23:59` */
export function formatMinute(at: Date): string {
  return formatTime(at).slice(0, 'yyyy-mm-dd hh:mm'.length)
}
