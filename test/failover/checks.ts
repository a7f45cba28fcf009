// What must hold after the failovers, checked message by message against what the simulator saw: it is the recipient.
import type { SimulatedMessage } from '../../src/simulator/simulator.ts'
import { wasCreated, wasRefused } from '../../src/simulator/submission-answer.ts'
import { bodyOf, scriptOf, type Told } from './callers.ts'
import type { Row } from './failover-world.ts'

/** What a failover took back, by text: the primary that died had it, and the promoted standby does not. */
export interface Losses {
  /** The whole row. */
  readonly rows: Map<string, Row>
  /** What happened to it last: a claim, an answer, a callback. */
  readonly changes: Set<string>
}

/** Adds what the one had and the other has not. */
export function addLosses(losses: Losses, had: readonly Row[], has: readonly Row[]): void {
  const there = Map.groupBy(has, ({ body }) => body)
  for (const row of had) {
    const same = there.get(row.body)?.find(({ id }) => id === row.id)
    if (same === undefined) losses.rows.set(row.body, row)
    else if (JSON.stringify(same) !== JSON.stringify(row)) losses.changes.add(row.body)
  }
}

export interface Facts {
  readonly messages: number
  readonly told: readonly Told[]
  readonly rows: readonly Row[]
  readonly seen: readonly SimulatedMessage[]
}

export interface Verdict {
  /** No row. */
  readonly lost: readonly string[]
  /** It is neither delivered nor given up. */
  readonly open: readonly string[]
  /** Two rows, or an attempt that Twilio accepted twice. */
  readonly doubled: readonly string[]
  /** The row, or what the app was told, is not what Twilio knows. */
  readonly recordedFalsely: readonly string[]
  /** Twilio has accepted it, and the row does not know. */
  readonly unrecorded: readonly string[]
}

export const isFinal = ({ status }: Row): boolean => ['delivered', 'undelivered', 'failed'].includes(status)

/** Of each message, by its number. */
export function judge({ messages, told, rows, seen }: Facts): ReadonlyMap<number, Verdict> {
  const rowsOf = Map.groupBy(rows, ({ body }) => body)
  const postsOf = Map.groupBy(seen, ({ body }) => body)
  const toldOf = Map.groupBy(told, ({ number }) => number)
  const numbers = Array.from({ length: messages }, (_, number) => number)
  return new Map(
    numbers.map((number) => {
      const body = bodyOf(number)
      const ids = (toldOf.get(number) ?? []).map(({ id }) => id)
      return [number, judgeOne(number, ids, rowsOf.get(body) ?? [], postsOf.get(body) ?? [])]
    }),
  )
}

function judgeOne(
  number: number,
  ids: readonly number[],
  [row, ...further]: readonly Row[],
  posts: readonly SimulatedMessage[],
): Verdict {
  const created = posts.filter(({ answer }) => wasCreated(answer))
  const twice = [...Map.groupBy(created, ({ attempt }) => attempt)].filter(([, each]) => each.length > 1)
  const doubled = [
    ...twice.map(([attempt, each]) => `attempt ${attempt} was accepted ${each.length} times`),
    ...(further.length === 0 ? [] : [`has ${1 + further.length} rows`]),
  ]
  const fine: Verdict = { lost: [], open: [], doubled, recordedFalsely: [], unrecorded: [] }
  if (row === undefined) return { ...fine, lost: ['has no row'] }
  if (!isFinal(row)) return { ...fine, open: [`ends as ${row.status}`] }
  const others = ids.filter((id) => id !== row.id)
  const recordedFalsely = [
    ...others.map((id) => `is row ${row.id}, and the app was told ${id}`),
    ...falseEnd(row, scriptOf(number).ends),
    ...falseAttempts(row, created, posts),
  ]
  const sids = new Set(row.attempts.map(({ sid }) => sid))
  const unrecorded = created
    .filter(({ sid }) => !sids.has(sid))
    .map(({ attempt }) => `attempt ${attempt} at Twilio is not in the row`)
  return { ...fine, recordedFalsely, unrecorded }
}

function falseEnd(row: Row, ends: ReturnType<typeof scriptOf>['ends']): string[] {
  const isRight =
    row.status === ends.status &&
    row.retryCount === ends.retries &&
    row.attempts.length === ends.retries + 1 &&
    row.success === (ends.status === 'delivered')
  if (isRight) return []
  return [
    `is ${row.status} after ${row.retryCount} retries, and should be ${ends.status} after ${ends.retries}`,
  ]
}

function falseAttempts(
  { attempts }: Row,
  created: readonly SimulatedMessage[],
  posts: readonly SimulatedMessage[],
): string[] {
  const refused = posts.filter(({ answer }) => wasRefused(answer))
  return attempts.flatMap(({ number, sid, status, error_code: code = null }) => {
    const truth =
      sid === undefined
        ? refused.find(({ attempt }) => attempt === number)
        : created.find((post) => post.sid === sid && post.attempt === number)
    if (truth === undefined) return [`attempt ${number} is ${status}, and Twilio has no such attempt of it`]
    const [is, isCode] = sid === undefined ? ['failed', truth.error_code] : [truth.status, truth.error_code]
    if (is === status && (isCode ?? null) === code) return []
    return [`attempt ${number} is ${status} ${code}, and at Twilio ${is} ${isCode}`]
  })
}
