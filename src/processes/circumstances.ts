// The part of the configuration that the gate needs, with the lookup of a number's time zones.
import type { Config } from '../config/config.ts'
import type { Circumstances } from '../delivery/decision.ts'
import { zonesOfNumber } from '../shared/recipient-zones.ts'

export function circumstancesOf({ sendWindow, recipientAllowlist }: Config): Circumstances {
  const { hours, timeZone, fallbackTimeZone } = sendWindow
  const unknown = fallbackTimeZone === null ? [] : [fallbackTimeZone]
  const fixed = timeZone === 'recipient' ? null : [timeZone]
  return {
    sendWindow: hours,
    zonesOf: (to) => fixed ?? zonesOfNumber(to) ?? unknown,
    isAllowed: (to) => recipientAllowlist === null || recipientAllowlist.some((entry) => matches(entry, to)),
  }
}

/** @param entry a number, or a prefix that ends in `*` */
function matches(entry: string, number: string): boolean {
  return entry.endsWith('*') ? number.startsWith(entry.slice(0, -1)) : number === entry
}
