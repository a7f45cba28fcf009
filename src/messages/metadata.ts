// The metadata that an app keeps beside a message: read once into plain JSON, so that what was checked is what is stored.
import { OWN_METADATA_KEYS } from '../db/message-row.ts'

export type Metadata = Readonly<Record<string, unknown>>

const MAX_METADATA_BYTES = 16_384
/** PostgreSQL's own limit depends on its stack; dashboard and driver go down every level as well. */
const MAX_METADATA_DEPTH = 1000

export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()
export const UNSTORABLE = 'must have no NUL character and no half of a surrogate pair'

const NOT_PLAIN = 'must be a plain object'

/** A fault that is found inside: its text goes on from `metadata`. */
class MetadataFault extends Error {}

/** A fault goes on from `metadata`: `must be a plain object`. */
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
  // A Date, say, is an object until it becomes JSON.
  if (!json?.startsWith('{')) return { fault: NOT_PLAIN }
  if (Buffer.byteLength(json) > MAX_METADATA_BYTES)
    return { fault: `must be at most ${MAX_METADATA_BYTES} bytes of JSON` }
  const metadata = JSON.parse(json) as Metadata
  const taken = OWN_METADATA_KEYS.filter((key) => Object.hasOwn(metadata, key))
  if (taken.length > 0)
    return { fault: `must not use the keys ${taken.join(', ')}, which belong to sms-retry` }
  return { metadata }
}

/** A replacer for JSON.stringify that changes nothing, and knows the objects around the value that it is at. */
function createCheck(): (this: unknown, key: string, value: unknown) => unknown {
  const around: object[] = []
  const isAround = new Set<object>()
  return function check(key, value) {
    while (around.length > 0 && around.at(-1) !== this) isAround.delete(around.pop() ?? {})
    if (!isStorable(key) || (typeof value === 'string' && !isStorable(value)))
      throw new MetadataFault(UNSTORABLE)
    if (typeof value === 'bigint')
      throw new MetadataFault('must have no BigInt, which JSON does not know: write it as a text')
    if (value === null || typeof value !== 'object') return value
    if (isAround.has(value)) throw new MetadataFault('must have no cycle: an object in it contains itself')
    around.push(value)
    isAround.add(value)
    // The metadata itself is the outermost one.
    if (around.length > MAX_METADATA_DEPTH + 1)
      throw new MetadataFault(`must have at most ${MAX_METADATA_DEPTH} objects and lists inside each other`)
    return value
  }
}
