// All sections, in the order of their running.
import type { Section } from './section.ts'
import { sections as webSections } from './web-sections.ts'
import { sections as workerSections } from './worker-sections.ts'

export const sections: readonly Section[] = [...webSections, ...workerSections]
