// What happens in one run: messages and faults on a time line, all from one seed.
import type { Chaos } from '../../src/simulator/chaos.ts'
import { createRandom, type Random } from '../../src/simulator/seeded-random.ts'
import { CAMPAIGNS, REFUSALS, type Refusal } from './app-sql.ts'

export const PROCESSES = ['web', 'worker 1', 'worker 2'] as const
export type ProcessName = (typeof PROCESSES)[number]

/** When a message may be sent, as of the moment at which the app sends it. */
export interface SendTimes {
  readonly sendAfterSeconds: number | null
  /** By the clocks in UTC. A window that opened before may be open or closed by now. */
  readonly window: { readonly opensInMinutes: number; readonly lastsMinutes: number } | null
}

/** The allow-list has all recipients but this one. */
export const NOT_ALLOWED = '+12065550102'
export const ALLOWLIST = '+1555*,+12065550101,+12065550103'

export type Step = { readonly atSeconds: number } & Action

export type Action =
  | {
      readonly kind: 'message'
      readonly how: 'send' | 'enqueue' | 'roll back'
      readonly to: string
      /** Messages with the same text to the same number, at once. */
      readonly copies: number
      readonly validForSeconds: number | null
      readonly times: SendTimes | null
    }
  | { readonly kind: 'chaos'; readonly faults: Partial<Chaos>; readonly lastsSeconds: number }
  /** So many real milliseconds after messages for the worker were enqueued: it strikes in the middle of something. */
  | { readonly kind: 'kill' | 'stop'; readonly process: ProcessName; readonly afterMs: number }
  | {
      readonly kind: 'database'
      readonly what: 'terminate' | 'cut' | 'silence' | 'restart' | 'crash'
      readonly afterMs: number
    }
  /** SIGSTOP, a minute that the process knows nothing of, SIGCONT. */
  | { readonly kind: 'suspend'; readonly process: ProcessName; readonly afterMs: number }
  | { readonly kind: 'jobs'; readonly what: 'delete' | 'double' | 'later' | 'again' }
  | { readonly kind: 'callbacks again'; readonly copies: number }
  /** Twilio takes a failure back: `delivered` for an attempt that it has reported as failed. */
  | { readonly kind: 'delivered after all' }
  | { readonly kind: 'new token' }
  /** Twilio refuses every message of the account: what was queued fails as well. */
  | { readonly kind: 'suspend account'; readonly lastsSeconds: number }
  /** The app deletes messages that are over, and new ones get their ids. */
  | { readonly kind: 'forget' }
  /** A trigger of the app's keeps changes out of the messages of a campaign. */
  | {
      readonly kind: 'refuse'
      readonly campaign: number
      readonly how: Refusal
      readonly lastsSeconds: number
    }
  /** The app holds, for so long in real time, a counter that its trigger changes with the messages of a campaign. */
  | { readonly kind: 'hold counter'; readonly campaign: number; readonly forMs: number }

/** As the simulator reads numbers: code, and how many attempts fail with it. */
const RECIPIENTS = [
  '+12065550101',
  '+12065550102',
  '+15553000101',
  '+15553000102',
  '+15553000301',
  '+15553000309',
  '+15553000401',
  '+15553000709',
  '+15553000801',
  '+15553000599',
  '+15553999901',
  '+15553999909',
  '+15552161099',
  '+15552121199',
  '+15552161101',
] as const

/** Refused with HTTP 429 and a code of its own. */
const SINCE_CODES_DECIDE = ['+15556303801', '+15556303802'] as const

/** The most harm comes of what happens together: an answer that is lost, and no callback that tells. */
const OF_REQUESTS: readonly (keyof Chaos)[] = [
  'hang',
  'reset',
  'serverErrorAfter',
  'garbage',
  'rateLimit',
  'unavailable',
  'serverError',
  'hangBefore',
  'hang',
  'reset',
  'serverErrorAfter',
  'garbage',
  'slow',
]
const OF_PROXIES: readonly (keyof Chaos)[] = ['proxyPage', 'proxyPage', 'closeBefore', 'closeBefore', 'drip']
const OF_CALLBACKS: readonly (keyof Chaos)[] = [
  'dropCallbacks',
  'dropCallbacks',
  'dropCallbacks',
  'duplicateCallbacks',
  'reorderCallbacks',
  'delayCallbacks',
]

export interface ScenarioSize {
  readonly messages: number
  /** Virtual minutes in which messages are sent and faults happen. */
  readonly minutes: number
}

export interface ScenarioWorld {
  /** False where the database server is not ours alone. */
  readonly canRestart: boolean
  /** An older version is at work as well: only faults that it withstands. */
  readonly isDeploy: boolean
}

export function generateScenario(
  seed: number,
  { messages, minutes }: ScenarioSize,
  { canRestart, isDeploy }: ScenarioWorld,
): Step[] {
  const random = createRandom(seed)
  const steps: Step[] = []
  const drawMessage = (most: number): MessageAction => drawMessageTo(random, recipients, most)
  const recipients = isDeploy ? RECIPIENTS : [...RECIPIENTS, ...SINCE_CODES_DECIDE]
  const at = (): number => Math.floor(random() * minutes * 60)
  for (let sent = 0; sent < messages; ) {
    const action = drawMessage(messages - sent)
    steps.push({ atSeconds: at(), ...action })
    sent += action.copies
  }
  const faults = Math.max(4, Math.round(messages * (isDeploy ? 0.33 : 0.45)))
  for (let i = 0; i < faults; i += 1) {
    const atSeconds = at()
    const fault =
      isDeploy || random() < 0.7 ? drawFault(random, minutes, canRestart) : drawNewer(random, minutes)
    if ('afterMs' in fault) steps.push({ atSeconds, ...drawWork(random) })
    steps.push({ atSeconds, ...fault })
    if (fault.kind === 'forget') {
      // Late news of the old messages meets the new ones.
      for (let j = 0; j < 3; j += 1) steps.push({ atSeconds, ...drawMessage(1) })
      steps.push({ atSeconds, kind: 'callbacks again', copies: 1 })
    }
  }
  steps.sort((one, other) => one.atSeconds - other.atSeconds)
  if (isDeploy) return steps
  // From numbers of their own, so that a seed still gives the history that it gave before there were times and holds.
  const timesRandom = createRandom(seed + TIMES_SEED)
  const all = [...steps, ...drawOutages(createRandom(seed + OUTAGES_SEED), minutes)]
  all.sort((one, other) => one.atSeconds - other.atSeconds)
  return all.map((step) => (step.kind === 'message' ? { ...step, times: drawTimes(timesRandom) } : step))
}

const TIMES_SEED = 1_000_000
const OUTAGES_SEED = 2_000_000

/** In half of the histories, the account is suspended once or twice. */
function drawOutages(random: Random, minutes: number): Step[] {
  const count = pick(random, [0, 0, 1, 2])
  return Array.from({ length: count }, () => ({
    atSeconds: Math.floor(random() * minutes * 60),
    kind: 'suspend account',
    lastsSeconds: Math.floor((0.1 + random() / 2) * minutes * 60),
  }))
}

function drawTimes(random: Random): SendTimes {
  const isLater = random() < 0.15
  const sendAfterSeconds = isLater ? Math.floor(random() * 3 * 3600) : null
  const opensInMinutes = Math.floor(random() * 120) - 60
  const lastsMinutes = 2 + Math.floor(random() * 120)
  return { sendAfterSeconds, window: random() < 0.3 ? { opensInMinutes, lastsMinutes } : null }
}

type MessageAction = Extract<Action, { kind: 'message' }>

function drawMessageTo(random: Random, recipients: readonly string[], most: number): MessageAction {
  return {
    kind: 'message',
    how: pick(random, ['send', 'send', 'send', 'enqueue', 'enqueue', 'roll back']),
    to: pick(random, recipients),
    copies: Math.min(pick(random, [1, 1, 1, 2]), most),
    validForSeconds: random() < 0.1 ? 60 + Math.floor(random() * 1_000) : null,
    times: null,
  }
}

/** Something for a worker to do, and for the endpoint a moment later. */
function drawWork(random: Random): MessageAction {
  const to = pick(random, RECIPIENTS)
  return { kind: 'message', how: 'enqueue', to, copies: 1, validForSeconds: null, times: null }
}

/** Faults that older versions do not withstand. */
function drawNewer(random: Random, minutes: number): Action {
  const lastsSeconds = Math.floor((0.1 + random() / 2) * minutes * 60)
  const kind = pick(random, ['forget', 'forget', 'refuse', 'hold counter', 'chaos', 'chaos'] as const)
  switch (kind) {
    case 'forget':
      return { kind }
    case 'refuse':
      return { kind, campaign: drawCampaign(random), how: pick(random, REFUSALS), lastsSeconds }
    case 'hold counter':
      return { kind, campaign: drawCampaign(random), forMs: 4_000 + Math.floor(random() * 1_500) }
    case 'chaos': {
      const faults = {
        [pick(random, OF_PROXIES)]: pick(random, [0.3, 1]),
        unknownStatus: pick(random, [0, 0.5, 1]),
        dropCallbacks: pick(random, [0, 0.5, 1]),
        lookupPage: pick(random, [0, 0.5, 1]),
      }
      return { kind, faults, lastsSeconds }
    }
  }
}

function drawCampaign(random: Random): number {
  return Math.floor(random() * CAMPAIGNS)
}

function drawFault(random: Random, minutes: number, canRestart: boolean): Action {
  const kind = pick(random, [
    'chaos',
    'chaos',
    'chaos',
    'kill',
    'kill',
    'stop',
    'suspend',
    'database',
    'jobs',
    'callbacks again',
    'delivered after all',
    'new token',
  ] as const)
  switch (kind) {
    case 'chaos': {
      const faults = {
        [pick(random, OF_REQUESTS)]: pick(random, [0.3, 1]),
        [pick(random, OF_CALLBACKS)]: pick(random, [0.5, 1, 1]),
        lookupError: pick(random, [0, 0, 0, 0.5]),
      }
      return { kind, faults, lastsSeconds: Math.floor((0.1 + random() / 2) * minutes * 60) }
    }
    case 'kill':
    case 'stop':
      return { kind, process: pick(random, PROCESSES), afterMs: Math.floor(random() * 900) }
    case 'suspend':
      return { kind, process: pick(random, ['worker 1', 'worker 2']), afterMs: Math.floor(random() * 900) }
    case 'database': {
      const what = pick(random, ['terminate', 'cut', 'silence', 'restart', 'crash'] as const)
      const isAllowed = canRestart || (what !== 'restart' && what !== 'crash')
      return { kind, what: isAllowed ? what : 'cut', afterMs: Math.floor(random() * 900) }
    }
    case 'jobs':
      return { kind, what: pick(random, ['delete', 'double', 'later', 'again']) }
    case 'callbacks again':
      return { kind, copies: pick(random, [1, 2, 50]) }
    case 'delivered after all':
    case 'new token':
      return { kind }
  }
}

function pick<const T>(random: Random, choices: readonly T[]): T {
  const choice = choices[Math.floor(random() * choices.length)]
  if (choice === undefined) throw new Error('nothing to choose from')
  return choice
}

/** One line a step, for a person. */
export function describe({ atSeconds, ...action }: Step): string {
  return `${String(atSeconds).padStart(6)} s  ${JSON.stringify(action)}`
}
