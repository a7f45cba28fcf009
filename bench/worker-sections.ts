// The sections on the worker, the sender and the start of each process, in the order of their running.
import type { Section } from './section.ts'
import { lateness } from './worker/lateness-section.ts'
import { workerMemory } from './worker/memory-section.ts'
import { retries } from './worker/retries-section.ts'
import { send } from './worker/send-section.ts'
import { start } from './worker/start-section.ts'

export const sections: Section[] = [retries, lateness, send, start, workerMemory]
