// The recipients of the demo: mostly working phones, and a realistic share of each failure. With an outage, all phones work.
// In the simulator, +1555CCCCCNN fails the first NN attempts with code CCCCC.

/** Each script and its number of messages per hundred. */
const SCRIPTS: readonly (readonly [script: string, perHundred: number])[] = [
  ['3000301', 7], // phone switched off for a while
  ['3000302', 3],
  ['3000309', 2], // phone never switched on again
  ['3000101', 4], // queue overflow
  ['3000103', 1],
  ['3000201', 2], // account suspended
  ['3000401', 2], // blocked
  ['3000801', 1], // unknown error: never retried
  ['3000701', 1], // filtered: never retried
  ['2161001', 1], // opted out: refused by the API
  ['2121101', 1], // not a valid number: refused by the API
]

/** Spreads the failing numbers evenly among the others. */
export function realisticRecipients(count: number): string[] {
  const hundred = SCRIPTS.flatMap(([script, perHundred]) =>
    Array.from({ length: perHundred }, () => `+1555${script}`),
  )
  return Array.from({ length: count }, (_, i) => {
    // 37 and 100 are coprime, so 100 consecutive messages use each index once.
    const scripted = hundred[(i * 37) % 100]
    return scripted ?? workingNumber(i)
  })
}

export function workingRecipients(count: number): string[] {
  return Array.from({ length: count }, (_, i) => workingNumber(i))
}

function workingNumber(i: number): string {
  return `+1206555${String(i % 10_000).padStart(4, '0')}`
}
