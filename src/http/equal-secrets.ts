import { createHash, timingSafeEqual } from 'node:crypto'

/** Compares hashes in constant time, so that timing reveals neither a correct prefix nor the length of the secret. */
export function equalSecrets(given: string, expected: string): boolean {
  return timingSafeEqual(hash(given), hash(expected))
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
