// What main.ts and the sections of the benchmark agree on: a section opens its cases, which are then run round by round
// in turn, so that a noisy moment of the machine hits all of them, and judges the medians.
import type { EmbeddedPostgres } from '../src/demo/embedded-postgres.ts'

export interface BenchContext {
  readonly server: EmbeddedPostgres
  /** Shorter, fewer rows, fewer rounds: for a first look. */
  readonly isQuick: boolean
  /** Words for whoever waits. */
  say(text: string): void
}

/** What one round measured, by the figure's name, whose end is its unit: `callbacks/s`, `p99 ms`, `rss MB`. */
export type Figures = Readonly<Record<string, number>>

export interface BenchCase {
  readonly name: string
  round(): Promise<Figures>
  close(): Promise<void>
}

/** A ratio or a limit that has to hold. */
export interface Bar {
  readonly what: string
  readonly value: number
  readonly least?: number
  readonly most?: number
}

export interface Section {
  readonly name: string
  /** One round if what is measured needs no comparison (memory over a million callbacks). */
  readonly rounds: (isQuick: boolean) => number
  /** How many rounds pass before any counts; one, if it is left out. */
  readonly warmUps?: (isQuick: boolean) => number
  /** Cases that cannot be run here (no redis-server) are left out, and said so. */
  open(context: BenchContext): Promise<BenchCase[]>
  /** @param medians by the case's name */
  judge(medians: ReadonlyMap<string, Figures>): Bar[]
}
