// Circumstances without a send window and an allow-list, as with an empty configuration.
import type { Circumstances } from '../../src/delivery/decision.ts'

export const UNRESTRICTED: Circumstances = { sendWindow: null, zonesOf: () => [], isAllowed: () => true }
