// The simulator's only random generator, mulberry32 (small, well known, 32 bits), and the identifiers drawn from it.

/** The next number in [0, 1). */
export type Random = () => number

/** The same seed gives the same numbers on every machine. Not for secrets. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export function drawHex(random: Random, digits: number): string {
  let hex = ''
  while (hex.length < digits) {
    hex += Math.floor(random() * 4_294_967_296)
      .toString(16)
      .padStart(8, '0')
  }
  return hex.slice(0, digits)
}

/** Has the form of the UUID in Twilio's header I-Twilio-Idempotency-Token. */
export function drawUuid(random: Random): string {
  const hex = drawHex(random, 32)
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
