// What `doctor` finds, and what its checks have to work with.
import type { Config, ConfigFault } from '../config/config.ts'
import type { Database } from '../postgres/pool.ts'

export interface Finding {
  readonly result: 'ok' | 'warning' | 'failed' | 'skipped'
  /** One sentence or two. Never a secret. */
  readonly what: string
  /** What to do about it; null if nothing is to be done. */
  readonly fix: string | null
}

export interface CheckContext {
  /** What of the configuration could be read. */
  readonly config: Config
  readonly faults: readonly ConfigFault[]
  readonly database: Database
  /** How long the endpoint may take for one answer. */
  readonly endpointTimeoutMs: number
}

/** Does not reject for what it is there to find. */
export type Examine = (context: CheckContext) => Promise<readonly Finding[]> | readonly Finding[]

export const ok = (what: string): Finding => ({ result: 'ok', what, fix: null })
export const warning = (what: string, fix: string): Finding => ({ result: 'warning', what, fix })
export const failed = (what: string, fix: string): Finding => ({ result: 'failed', what, fix })
export const skipped = (why: string): Finding => ({ result: 'skipped', what: why, fix: null })
