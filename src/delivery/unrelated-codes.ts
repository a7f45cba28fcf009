// The codes of Twilio's messaging catalogue that do not end a send: registration, certificates, inbound messages,
// broadcasts, warnings. With this list, the test against the catalogue notices new codes. If Twilio reports one of these
// for an attempt, the rule of unknown codes applies.

const RANGES: readonly (readonly [first: number, last: number])[] = [
  [11100, 11100], // webhooks and TwiML
  [11206, 11206],
  [14109, 14109], // replies to inbound messages
  [21710, 21710], // set-up of Messaging Services and A2P 10DLC
  [21712, 21712],
  [21714, 21714],
  [21717, 21717],
  [21719, 21732],
  [21736, 21737],
  [30009, 30009], // inbound messages
  [30025, 30026], // warnings: half, or 70 %, of a daily limit is used
  [30038, 30039], // inbound messages
  [30100, 30109], // link shortening: domains, certificates
  [30113, 30136],
  [30409, 30409], // canceling
  [30436, 30437], // registration: toll-free numbers, A2P 10DLC
  [30440, 30449],
  [30451, 30452],
  [30455, 30480],
  [30646, 30647], // consent, uploaded in bulk
  [30701, 30703], // registration
  [30712, 30712],
  [30729, 30729],
  [30734, 30734],
  [30747, 30756],
  [30790, 30799],
  [30880, 30909],
  [30990, 30994],
  [35132, 35134], // messages sent in bulk
  [36001, 36009], // broadcasts
  [57001, 57014], // link shortening: secrets and tokens
  [57016, 57022],
  [63039, 63039], // set-up of other channels
  [63043, 63047],
  [63100, 63103],
  [63105, 63105],
  [63108, 63109],
  [63111, 63112],
  [90001, 90001], // the message resource: reading and changing
  [90006, 90006],
  [90009, 90009],
  [90031, 90031],
  [92001, 92001], // content templates: creating and changing
  [92003, 92005],
  [92008, 92009],
]

export const UNRELATED_CODES: ReadonlySet<number> = new Set(
  RANGES.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i)),
)

export function isUnrelated(code: number): boolean {
  return UNRELATED_CODES.has(code)
}
