// Who the demo writes to: mostly phones that work, and a realistic share of each way to fail. The simulator
// reads a number's script off the number: +1555CCCCCNN fails the first NN attempts with code CCCCC.

/** Per hundred messages. */
const SCRIPTS: readonly (readonly [script: string, perHundred: number])[] = [
  ['3000301', 7], // switched off for a while
  ['3000302', 3],
  ['3000309', 2], // switched off for good
  ['3000101', 4], // queue overflow
  ['3000103', 1],
  ['3000201', 2], // account suspended
  ['3000401', 2], // blocked
  ['3000801', 1], // unknown error: never retried
  ['3000701', 1], // filtered: never retried
  ['2161001', 1], // opted out: refused by the API
  ['2121101', 1], // not a valid number: refused by the API
]

/** `count` phone numbers, the failing ones spread evenly among the others. */
export function realisticRecipients(count: number): string[] {
  const hundred = SCRIPTS.flatMap(([script, perHundred]) =>
    Array.from({ length: perHundred }, () => `+1555${script}`),
  )
  return Array.from({ length: count }, (_, i) => {
    // 37 and 100 have no common divisor: every place of the hundred comes once.
    const scripted = hundred[(i * 37) % 100]
    return scripted ?? `+1206555${String(i % 10_000).padStart(4, '0')}`
  })
}
