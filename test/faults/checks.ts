// What must hold when the faults have ended, checked against what the simulator saw: it is the recipient.
import { createRetryPolicy, ruleFor } from '../../src/delivery/retry-policy.ts'
import type { SimulatedMessage } from '../../src/simulator/simulator.ts'
import { wasCreated, wasRefused } from '../../src/simulator/submission-answer.ts'
import type { TestDatabase } from '../support/database.ts'
import type { FaultWorld } from './fault-world.ts'
import { FINAL, ROW_COLUMNS, type Row } from './row.ts'
import { NOT_ALLOWED } from './scenario.ts'

/** What the app was told of one message. */
export interface Expected {
  readonly body: string
  readonly recorded: 'yes' | 'no' | 'unknown'
  readonly id?: number
}

const POLICY = createRetryPolicy()

/**
 * Messages that are not over, not counting those in doubt that nobody can decide; what is due, not counting a sweep whose
 * worker was killed (the others go on without it, and pg-boss keeps it for 15 minutes), and no attempt while the account
 * is on hold and no probe is due; seconds until the next is due.
 */
export async function stateOf(
  database: TestDatabase,
): Promise<{ open: number; due: number; nextSeconds: number; digest: string }> {
  const [state] = await database.query<{ open: number; due: number; next: number | null; digest: string }>(
    `with message as (
       select *, sms_metadata ->> 'reconcile_at' as reconcile_at from sms_usage_logs),
     hold as (select probe_at from sms_retry.account_state where probe_at > virtual.now())
     select (count(*) filter (where final_status <> all($1) and coalesce(reconcile_at, '') < '9'))::int as "open",
            (count(*) filter (where final_status <> all($1)
              and reconcile_at::timestamptz <= virtual.now()))::int
            + (select count(*)::int from sms_retry_pgboss.job
                where name not like 'outcome%'
                  and (state = 'active' or state in ('created', 'retry') and start_after <= virtual.now()
                         and not (name = 'attempt' and exists (select from hold)))
                  and not (name = 'reconcile' and state = 'active' and started_on < virtual.now() - interval '1 min')) as "due",
            extract(epoch from min(least(greatest(next_retry_at, (select probe_at from hold)), reconcile_at::timestamptz))
              filter (where final_status <> all($1) and reconcile_at < '9') - virtual.now())::float8 as "next",
            md5(string_agg(concat_ws(' ', id, final_status, success, retry_count, next_retry_at,
              twilio_message_sid, sms_metadata ->> 'retry_reason'), ',' order by id)) as "digest"
       from message`,
    [FINAL],
  )
  if (state === undefined) throw new Error('count(*) gave no row')
  return { ...state, nextSeconds: state.next ?? 0 }
}

/** How each message ended that is over, by its id. */
export async function endsOf(database: TestDatabase): Promise<ReadonlyMap<number, string>> {
  const rows = await database.query<{ id: number; end: string }>(
    `select id, concat_ws(' ', final_status, success, retry_count, next_retry_at, twilio_message_sid,
              sms_metadata ->> 'retry_reason') as "end"
       from sms_usage_logs where final_status = any($1)`,
    [FINAL],
  )
  return new Map(rows.map(({ id, end }) => [id, end]))
}

/** Refused by the account's new token, before anything was read of the message. */
const UNAUTHORIZED = 20003

export async function faultsAfter(
  { database, simulator, clock, deliveredAfterAll, forgotten, listsRefused, isDeploy }: FaultWorld,
  expected: readonly Expected[],
): Promise<string[]> {
  const rows = await database.query<Row>(`select ${ROW_COLUMNS} from sms_usage_logs order by id`)
  const ever = [...forgotten, ...rows]
  const seen = simulator
    .messages()
    .map(
      (post): SimulatedMessage =>
        deliveredAfterAll.has(post.sid) ? { ...post, status: 'delivered', error_code: null } : post,
    )
  const known = new Set(ever.flatMap(({ attempts }) => attempts.map(({ sid }) => sid)))
  const posts = new Map(ever.map((row) => [row, seen.filter((post) => isOf(post, row))]))
  const nobodys = new Set(
    seen.filter(({ sid, answer }) => wasCreated(answer) && !known.has(sid)).map(({ body }) => body),
  )
  const ambiguous = listsRefused ? partlyRefused(rows, posts) : new Set<number>()
  const told = new Set(
    simulator
      .callbacks()
      .filter(({ answer_status }) => answer_status !== null && answer_status < 300)
      .map(({ message_sid, fields }) => `${message_sid} ${fields['MessageStatus']}`),
  )
  // Only ours, whose ids are hashes: a job that was doubled waits for its time, and then does nothing. So does one that
  // another version has scheduled, whose ids are others.
  const jobs = await database.query<{ job: string }>(
    `select concat_ws(' ', id, state, start_after) as "job" from sms_retry_pgboss.job
      where name = 'attempt' and state in ('created', 'retry', 'active') and id::text like '________-____-8%'`,
  )
  const twice = simulator.doubleSubmissions()
  return [
    ...(isDeploy ? [] : jobs).map(({ job }) => `job ${job} waits though every message is over`),
    ...twice.map(
      ({ message, attempt, sids }) =>
        `message ${message}: attempt ${attempt} was accepted ${sids.length} times`,
    ),
    ...(listsRefused ? refusedTwice(seen) : []),
    ...recordFaults(ever, expected),
    ...strangers(seen, posts),
    ...rows.flatMap((row) =>
      rowFaults(
        row,
        nobodys.has(row.message_content) || ambiguous.has(row.id),
        posts.get(row) ?? [],
        seen,
        told,
        clock.now(),
      ),
    ),
    ...rows.flatMap((row) => gateFaults(row, posts.get(row) ?? [], isDeploy)),
    ...(isDeploy ? [] : await outcomeFaults(database)),
  ]
}

/** The last outcome of each final message has its status. The stored outcomes differ in their ids. */
async function outcomeFaults(database: TestDatabase): Promise<string[]> {
  const rows = await database.query<{ id: number; final_status: string; told: string[] }>(
    `select id, final_status,
            array(select data ->> 'status' from sms_retry_pgboss.job
                   where name = 'outcome' and (data ->> 'message')::bigint = m.id
                     and data ->> 'key' is not distinct from m.sms_metadata ->> 'callback_key'
                   order by data ->> 'at', id) as "told"
       from sms_usage_logs as m where final_status = any($1) order by id`,
    [FINAL],
  )
  return rows
    .filter(({ final_status: status, told }) => told.at(-1) !== status)
    .map(
      ({ id, final_status: status, told }) => `message ${id}: is ${status}, and was told as [${told.join()}]`,
    )
}

/** By the key where both have one: ids come again. Texts are of one message, or of copies that were sent at once. */
function isOf(post: SimulatedMessage, { id, key, message_content }: Row): boolean {
  if (post.message !== `${id}` || post.body !== message_content) return false
  const named = new URL(post.status_callback ?? '').searchParams.get('key')
  return named === null || key === null || named === key
}

/** What Twilio has accepted is an attempt of a message that is or was in the table. */
function strangers(
  seen: readonly SimulatedMessage[],
  posts: ReadonlyMap<Row, readonly SimulatedMessage[]>,
): string[] {
  const ours = new Set(
    [...posts].flatMap(([{ attempts }, own]) =>
      own.filter(({ attempt }) => attempts.some(({ number }) => number === attempt)).map(({ sid }) => sid),
    ),
  )
  return seen
    .filter(({ answer, sid }) => wasCreated(answer) && !ours.has(sid))
    .map(({ message, attempt }) => `message ${message}: attempt ${attempt} is at Twilio, and not in its row`)
}

/** Two claims may be of each other's messages only within this time. */
const CLAIMS_MEET_MS = 50_000

/** Attempts in doubt beside others of the same text: one was refused and is listed, one never arrived, but which? */
function partlyRefused(
  rows: readonly Row[],
  posts: ReadonlyMap<Row, readonly SimulatedMessage[]>,
): ReadonlySet<number> {
  const inDoubt = rows
    .filter(({ final_status }) => final_status === 'submitting')
    .map((row) => {
      const { id, message_content, attempts } = row
      const last = attempts.at(-1)
      const claimedMs = Date.parse(last?.times['submitting'] ?? '')
      const isListed = (posts.get(row) ?? []).some(
        ({ attempt, answer, created_at_ms }) =>
          attempt === last?.number && wasRefused(answer) && created_at_ms >= claimedMs - 1000,
      )
      return { id, text: message_content, claimedMs, isListed }
    })
  const isAmbiguous = (one: (typeof inDoubt)[number]): boolean =>
    inDoubt.some(
      (other) =>
        other.text === one.text &&
        other.isListed !== one.isListed &&
        Math.abs(other.claimedMs - one.claimedMs) <= CLAIMS_MEET_MS,
    )
  return new Set(inDoubt.filter(isAmbiguous).map(({ id }) => id))
}

/** What the app was told is true: what was recorded is there, what was not is not. */
function recordFaults(rows: readonly Row[], expected: readonly Expected[]): string[] {
  const ids = new Set(rows.map(({ id }) => id))
  const bodies = Map.groupBy(expected, ({ body }) => body)
  return [...bodies].flatMap(([body, told]) => {
    const there = rows.filter(({ message_content }) => message_content === body).length
    const least = told.filter(({ recorded }) => recorded === 'yes').length
    const most = told.filter(({ recorded }) => recorded !== 'no').length
    const lost = told.filter(({ id }) => id !== undefined && !ids.has(id))
    const isRight = there >= least && there <= most && lost.length === 0
    return isRight ? [] : [`"${body}": ${there} rows, where the app was told of ${least} to ${most}`]
  })
}

/** What Twilio lists as refused was refused, and is not submitted again as the same attempt. */
function refusedTwice(seen: readonly SimulatedMessage[]): string[] {
  const made = seen.filter(({ answer }) => wasCreated(answer) || wasRefused(answer))
  return [
    ...Map.groupBy(
      made,
      ({ message, attempt, body }) => `message ${message} ("${body}"): attempt ${attempt}`,
    ),
  ]
    .filter(([, posts]) => posts.length > 1 && posts.some(({ answer }) => wasRefused(answer)))
    .map(([what, posts]) => `${what} was made ${posts.length} times, though it was refused`)
}

/** Nothing is submitted too early, outside the hours of the message, or to a recipient that the allow-list lacks. */
function gateFaults(row: Row, posts: readonly SimulatedMessage[], isDeploy: boolean): string[] {
  const { id, send_after: sendAfter, send_window: window, phone_number: to, final_status: status } = row
  const [from = '', end = ''] = (window ?? '').split('-')
  const isOpenAt = (time: string): boolean =>
    from < end ? from <= time && time < end : from <= time || time < end
  const faults = posts.flatMap(({ created_at_ms }) => {
    const at = new Date(created_at_ms).toISOString()
    return [
      ...(sendAfter !== null && at < sendAfter ? [`submitted at ${at}, before ${sendAfter}`] : []),
      ...(window !== null && !isOpenAt(at.slice(11, 16)) ? [`submitted at ${at}, outside ${window}`] : []),
    ]
  })
  const isCanceled = status === 'canceled' && posts.length === 0
  if (!isDeploy && to === NOT_ALLOWED && !isCanceled) faults.push('not canceled, though the list lacks it')
  return faults.map((fault) => `message ${id} (${to}, ${status}): ${fault}`)
}

/**
 * @param isUndecidable Twilio has messages of this text that it cannot be told whose they are
 * @param seen all that Twilio was asked for
 * @param told the sids and statuses of callbacks that were answered as recorded
 */
function rowFaults(
  row: Row,
  isUndecidable: boolean,
  posts: readonly SimulatedMessage[],
  seen: readonly SimulatedMessage[],
  told: ReadonlySet<string>,
  nowMs: number,
): string[] {
  const faults: string[] = []
  const check = (what: string, holds: boolean): void => {
    if (!holds) faults.push(`message ${row.id} (${row.phone_number}, ${row.final_status}): ${what}`)
  }
  const created = posts.filter(({ answer }) => wasCreated(answer))
  const attempts = row.attempts
  const isInDoubt = row.final_status === 'submitting'
  const excused = attempts.filter((attempt) => attempt.excused === true).length

  check(
    'is not over',
    FINAL.includes(row.final_status) || (isInDoubt && isUndecidable && row.error_message !== null),
  )
  check('a retry is due', row.next_retry_at === null)
  check('more submissions than allowed', created.length <= 1 + row.max_retries + excused)
  check('more retries than allowed', row.retry_count <= row.max_retries + excused)
  check('success', row.success === !['undelivered', 'failed', 'expired'].includes(row.final_status))
  check('a failure without a reason', row.success || row.error_message !== null)
  check(
    'the attempts are not 0, 1, 2 ...',
    attempts.every(({ number }, i) => number === i),
  )

  for (const [i, attempt] of attempts.entries()) {
    const { status, error_code: code = null } = attempt
    const isLast = i === attempts.length - 1
    const hasFailed = status === 'failed' || status === 'undelivered'
    check(
      `attempt ${i} is followed by another, and is ${status}`,
      isLast || hasFailed || status === 'delivered',
    )
    const rule = ruleFor(POLICY, code)
    check(`attempt ${i} failed with ${code} and was retried`, isLast || !hasFailed || rule.action !== 'stop')
    const failedAt = Date.parse(attempt.times['failed'] ?? attempt.times['undelivered'] ?? '')
    const next = created.filter((post) => post.attempt === i + 1)
    check(
      `attempt ${i + 1} was made before attempt ${i} had failed`,
      next.every(({ created_at_ms }) => created_at_ms + 1000 >= failedAt),
    )
    check(
      `attempt ${i} has the sid of another text`,
      attempt.sid === undefined ||
        seen.some(({ sid, body }) => sid === attempt.sid && body === row.message_content),
    )
    check(
      `attempt ${i} is ${status} with ${code}, and Twilio has not said so`,
      !hasFailed ||
        code === UNAUTHORIZED ||
        posts.some(
          (post) => post.attempt === i && post.status === status && (post.error_code ?? null) === code,
        ),
    )
    const truth = created.find(({ sid }) => sid === attempt.sid)
    // Its callback was lost after another attempt had got through: nobody asks for a message that is over.
    const isOvertaken =
      !FINAL.includes(status) &&
      !told.has(`${attempt.sid} ${truth?.status}`) &&
      attempts.some((other) => other !== attempt && other.status === 'delivered')
    check(
      `attempt ${i} is ${status}, and at Twilio ${truth?.status} ${truth?.error_code}`,
      truth === undefined || isOvertaken || (truth.status === status && (truth.error_code ?? null) === code),
    )
  }
  const isDelivered = created.some(({ status }) => status === 'delivered')
  check('delivered or not', isInDoubt || isDelivered === (row.final_status === 'delivered'))
  const deadlineMs = row.deadline === null ? nowMs : Date.parse(row.deadline)
  check(
    'submitted after its deadline',
    posts.every(({ created_at_ms }) => created_at_ms <= deadlineMs + 1000),
  )
  const last = attempts.at(-1)
  // Neither one that was delivered after all, nor one that ran out of time, or is still in doubt.
  if (last !== undefined && (row.final_status === 'failed' || row.final_status === 'undelivered')) {
    const rule = ruleFor(POLICY, last.error_code ?? null)
    const limit = rule.action === 'retry' ? Math.min(rule.retries, row.max_retries) : 0
    const used = last.number - excused
    check(`given up after ${used} of ${limit} retries`, used >= limit)
    check(`given up because of the account (${last.error_code})`, rule.action !== 'hold')
  }
  return faults
}
