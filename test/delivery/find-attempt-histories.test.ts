// Searches Twilio's message list in random histories of messages with the same text and number, and compares every finding
// with what really happened. find-attempt.test.ts has single cases.
import { expect, test } from '@jest/globals'
import { findAttempt } from '../../src/delivery/find-attempt.ts'
import type { Message } from '../../src/delivery/message.ts'
import { LATEST_ACCEPTANCE_SECONDS } from '../../src/delivery/reconcile-time.ts'
import type { AttemptStatus } from '../../src/delivery/status.ts'
import { createRandom, type Random } from '../../src/simulator/seeded-random.ts'
import { buildAttempt, buildMessage, listedEntry, secondsFromNow, sidOf } from './build-message.ts'

/** `told`: refused, and the answer arrived. The answers to all other requests were lost, if they reached Twilio at all. */
const FATES = ['refused', 'refused', 'refused', 'told', 'accepted', 'lost'] as const

/** Times are in seconds. */
interface Truth {
  readonly id: number
  readonly fate: (typeof FATES)[number]
  readonly claimedAt: number
  /** Null if the request never reached Twilio. */
  readonly createdAt: number | null
  readonly errorCode: number | null
}

/** The attempt as the row has it. */
interface Known {
  readonly status: AttemptStatus
  readonly sid: string | null
  readonly errorCode: number | null
}

const IN_DOUBT: Known = { status: 'submitting', sid: null, errorCode: null }
const TOLERANCE_SECONDS = 2
const LISTED_BEFORE_CLAIM_SECONDS = 60
const FIRST_LOOK_SECONDS = 45
const LOOKS = [0, 40, 80, 120]
const ANSWER_SECONDS = 2

function drawHistory(random: Random): Truth[] {
  const draw = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T
  const spanSeconds = draw([2, 20, 60, 120])
  const codes = draw([[21610], [21610], [21610, 21611]])
  return Array.from({ length: draw([2, 3, 4]) }, (_, i) => {
    const fate = draw(FATES)
    const claimedAt = Math.floor(random() * spanSeconds * 10) / 10
    const tookSeconds = random() < 0.85 || fate === 'told' ? random() * ANSWER_SECONDS : random() * 14
    return {
      ...{ id: i + 1, fate, claimedAt },
      createdAt: fate === 'lost' ? null : claimedAt + tookSeconds,
      errorCode: fate === 'refused' || fate === 'told' ? draw(codes) : null,
    }
  })
}

/** @returns the wrong findings, and the number of attempts that are still in doubt */
function play(history: readonly Truth[]): { wrong: string[]; inDoubt: number } {
  const rows = new Map(history.map(({ id }) => [id, IN_DOUBT]))
  const wrong: string[] = []
  const looks = history
    .filter(({ fate }) => fate !== 'told')
    .flatMap((truth) => LOOKS.map((later) => ({ truth, at: truth.claimedAt + FIRST_LOOK_SECONDS + later })))
    .toSorted((one, other) => one.at - other.at)
  for (const { truth, at } of looks) {
    for (const { id, fate, claimedAt, errorCode } of history) {
      if (fate === 'told' && at >= claimedAt + ANSWER_SECONDS)
        rows.set(id, { ...IN_DOUBT, status: 'failed', errorCode })
    }
    if (rows.get(truth.id)?.status !== 'submitting') continue
    const message = toMessage(truth, rows)
    const [attempt] = message.attempts
    if (attempt === undefined) throw new Error('the message has no attempt')
    // The same limits as in messages/resolve-attempts.ts and findOthers in db/overdue.ts.
    const earliest = truth.claimedAt - LATEST_ACCEPTANCE_SECONDS - 2 * TOLERANCE_SECONDS
    const finding = findAttempt(message, attempt, {
      kind: 'listed',
      attempt: 0,
      claimedAt: secondsFromNow(truth.claimedAt),
      entries: listAt(history, at).filter(
        ({ createdAt }) => createdAt >= secondsFromNow(truth.claimedAt - LISTED_BEFORE_CLAIM_SECONDS),
      ),
      toleranceSeconds: TOLERANCE_SECONDS,
      isComplete: true,
      others: history
        .filter(({ id, claimedAt }) => id !== truth.id && claimedAt <= at && claimedAt >= earliest)
        .map((other) => toMessage(other, rows)),
    })
    if (finding.kind === 'undecided') continue
    const found: Known = finding.kind === 'found' ? finding.report : { ...IN_DOUBT, status: 'pending' }
    rows.set(truth.id, found)
    if (!isTrue(found, truth))
      wrong.push(`${JSON.stringify(truth)} is ${JSON.stringify(found)} in ${JSON.stringify(history)}`)
  }
  return { wrong, inDoubt: [...rows.values()].filter(({ status }) => status === 'submitting').length }
}

function isTrue({ status, sid, errorCode }: Known, { id, fate, errorCode: code }: Truth): boolean {
  switch (fate) {
    case 'lost':
      return status === 'pending'
    case 'accepted':
      return status === 'queued' && sid === sidOf(id)
    case 'refused':
    case 'told':
      return status === 'failed' && errorCode === code && (sid === null || sid === sidOf(id))
  }
}

function toMessage({ id, claimedAt }: Truth, rows: ReadonlyMap<number, Known>): Message {
  const { status, ...known } = rows.get(id) ?? IN_DOUBT
  const times = { submitting: secondsFromNow(claimedAt).toISOString() }
  return buildMessage(status, [{ ...buildAttempt(0, status, known), times }], { id })
}

/** The list as Twilio returns it: in whole seconds, newest first. */
function listAt(history: readonly Truth[], at: number): ReturnType<typeof listedEntry>[] {
  return history
    .flatMap(({ id, fate, createdAt, errorCode }) => {
      if (createdAt === null || createdAt > at) return []
      const outcome =
        fate === 'accepted' ? ({ status: 'queued' } as const) : ({ status: 'failed', errorCode } as const)
      return [listedEntry({ sid: sidOf(id), createdAt: secondsFromNow(Math.floor(createdAt)), ...outcome })]
    })
    .toSorted((one, other) => other.createdAt.getTime() - one.createdAt.getTime())
}

test('no finding in 2,000 random histories is wrong, and nearly half of the attempts are decided', () => {
  const random = createRandom(1)
  let [attempts, inDoubt] = [0, 0]
  const wrong: string[] = []
  for (let i = 0; i < 2_000; i += 1) {
    const history = drawHistory(random)
    const outcome = play(history)
    attempts += history.length
    inDoubt += outcome.inDoubt
    wrong.push(...outcome.wrong)
  }
  expect(wrong).toEqual([])
  expect(inDoubt / attempts).toBeLessThan(0.55)
})
