// Ids of jobs that follow from their content, so adding the same job twice has no effect.
import { createHash } from 'node:crypto'
import type { JobRef } from '../delivery/decision.ts'

/** The job of one attempt. It includes the key of the message, because ids can repeat. */
export interface MessageJob extends JobRef {
  readonly messageId: number
  readonly key: string | null
}

export function jobId({ messageId, key, attempt, postponements }: MessageJob): string {
  return uuidOf(key ?? '', messageId, attempt, postponements)
}

/** A version 8 UUID (RFC 9562, 5.8) from a hash of the fields. */
export function uuidOf(...fields: readonly (string | number)[]): string {
  const hex = createHash('sha256').update(fields.join(' ')).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
