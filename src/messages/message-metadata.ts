// The app's metadata of a message: read once into plain JSON, and checked, before anything is written.
import { OWN_METADATA_KEYS } from '../db/message-row.ts'

/** PostgreSQL cannot store a NUL or half of a surrogate pair. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()
export const UNSTORABLE = 'must have no NUL character and no half of a surrogate pair'

export type Metadata = Readonly<Record<string, unknown>>

const MAX_METADATA_BYTES = 16_384
/** PostgreSQL's own limit depends on its stack size; the dashboard and the driver recurse as well. */
const MAX_METADATA_DEPTH = 1000

const NOT_PLAIN = 'must be a plain object'

/** A fault inside the metadata. Its text continues after the word `metadata`. */
class MetadataFault extends Error {}

/** Reads the metadata once into plain JSON, so that exactly the checked value is stored. */
export function readMetadata(input: unknown): { readonly metadata: Metadata } | { readonly fault: string } {
  if (input === undefined) return { metadata: {} }
  if (input === null || typeof input !== 'object' || Array.isArray(input)) return { fault: NOT_PLAIN }
  let json: string | undefined
  try {
    json = JSON.stringify(input, createCheck())
  } catch (error) {
    if (error instanceof MetadataFault) return { fault: error.message }
    return { fault: 'cannot be read: a toJSON method or a getter in it throws' }
  }
  // A Date, for example, is an object, but its JSON is a string.
  if (!json?.startsWith('{')) return { fault: NOT_PLAIN }
  if (Buffer.byteLength(json) > MAX_METADATA_BYTES)
    return { fault: `must be at most ${MAX_METADATA_BYTES} bytes of JSON` }
  const metadata = JSON.parse(json) as Metadata
  const taken = OWN_METADATA_KEYS.filter((key) => Object.hasOwn(metadata, key))
  if (taken.length > 0)
    return { fault: `must not use the keys ${taken.join(', ')}, which belong to sms-retry` }
  return { metadata }
}

/** A replacer for JSON.stringify that changes nothing and tracks the objects around the current value. */
function createCheck(): (this: unknown, key: string, value: unknown) => unknown {
  const ancestors: object[] = []
  const isAncestor = new Set<object>()
  return function check(key, value) {
    while (ancestors.length > 0 && ancestors.at(-1) !== this) isAncestor.delete(ancestors.pop() ?? {})
    if (!isStorable(key) || (typeof value === 'string' && !isStorable(value)))
      throw new MetadataFault(UNSTORABLE)
    if (typeof value === 'bigint')
      throw new MetadataFault('must have no BigInt, which JSON does not support: use a string')
    if (value === null || typeof value !== 'object') return value
    if (isAncestor.has(value)) throw new MetadataFault('must have no cycle: an object in it contains itself')
    ancestors.push(value)
    isAncestor.add(value)
    // The metadata itself counts as one.
    if (ancestors.length > MAX_METADATA_DEPTH + 1)
      throw new MetadataFault(`must have at most ${MAX_METADATA_DEPTH} nested objects and arrays`)
    return value
  }
}
