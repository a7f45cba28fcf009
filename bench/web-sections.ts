// The sections on the web process, in the order of their running.
import type { Section } from './section.ts'
import { callbacks } from './web/callbacks-section.ts'
import { dashboard } from './web/dashboard-section.ts'
import { growth } from './web/growth-section.ts'
import { halfLoad } from './web/half-load-section.ts'
import { memory } from './web/memory-section.ts'
import { outcomes } from './web/outcomes-section.ts'
import { twoProcesses } from './web/two-processes-section.ts'

export const sections: Section[] = [callbacks, outcomes, halfLoad, growth, twoProcesses, memory, dashboard]
