// What a check of `doctor` receives and returns.
import type { Config, ConfigFault } from '../config/config.ts'
import type { Database } from '../postgres/pool.ts'

export interface Finding {
  readonly result: 'ok' | 'warning' | 'failed' | 'skipped'
  /** One or two sentences, without secrets. */
  readonly what: string
  /** How to fix it; null if there is nothing to fix. */
  readonly fix: string | null
}

export interface CheckContext {
  /** The valid part of the configuration. */
  readonly config: Config
  readonly faults: readonly ConfigFault[]
  readonly database: Database
  /** The time-out of each request to the endpoint. */
  readonly endpointTimeoutMs: number
}

/** A problem that the check looks for is a finding, not a rejection. */
export type Examine = (context: CheckContext) => Promise<readonly Finding[]> | readonly Finding[]

export const ok = (what: string): Finding => ({ result: 'ok', what, fix: null })
export const warning = (what: string, fix: string): Finding => ({ result: 'warning', what, fix })
export const failed = (what: string, fix: string): Finding => ({ result: 'failed', what, fix })
export const skipped = (what: string): Finding => ({ result: 'skipped', what, fix: null })
