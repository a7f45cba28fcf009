// Each finding: what causes it, what does not, and what it says. The figures are made here; test/processes/health.test.ts
// makes the causes in a database.
import { describe, expect, test } from '@jest/globals'
import { binomialTail, type CodeCounts } from '../../src/delivery/code-jump.ts'
import { type Finding, findingsOf, type HealthFigures } from '../../src/delivery/health.ts'
import type { ObservedInstance } from '../../src/delivery/health-finding.ts'

const NOW = new Date('2026-11-30T12:00:00.000Z')
const ago = (seconds: number): Date => new Date(NOW.getTime() - seconds * 1000)

const NO_CODES: CodeCounts = { messages: 0, byCode: new Map() }
const counts = (messages: number, byCode: Record<number, number> = {}): CodeCounts => ({
  messages,
  byCode: new Map(Object.entries(byCode).map(([code, failed]) => [Number(code), failed])),
})

const QUIET = { claimedAt: null, callbackAt: null, missedAt: [], refusedAt: [] }

function instance(
  role: string,
  activity: Partial<NonNullable<ObservedInstance['activity']>> | null = {},
  changes: Partial<ObservedInstance> = {},
): ObservedInstance {
  return {
    role,
    host: 'app',
    pid: 1,
    version: '1.0.0',
    settings: { outcomeEvents: false },
    startedAt: ago(86_400),
    seenAt: ago(5),
    activity: activity === null ? null : { ...QUIET, ...activity },
    ...changes,
  }
}

const WORKER = instance('worker')
const WEB = instance('web', { callbackAt: ago(20) })

/** An installation in which all is well. */
const WELL: HealthFigures = {
  now: NOW,
  account: { hold: null, pause: null, workingSince: null },
  backlog: { due: 0, oldestDueAt: null, deferred: 3, inDoubt: 0, oldestInDoubtAt: null },
  instances: [WORKER, WEB],
  exited: { workerSeenAt: ago(90_000), callbackAt: ago(90_000) },
  rateReservedUntil: null,
  queue: { state: 'current', failedOutcomes: 0 },
  codes: { lastHour: NO_CODES, lastSixHours: NO_CODES, weekBefore: NO_CODES },
}

const found = (changes: Partial<HealthFigures>): readonly Finding[] => findingsOf({ ...WELL, ...changes })
const names = (changes: Partial<HealthFigures>): string[] => found(changes).map(({ name }) => name)
const backlog = (changes: Partial<HealthFigures['backlog']>): HealthFigures['backlog'] => ({
  ...WELL.backlog,
  ...changes,
})

test('an installation in which all is well has no finding', () => {
  expect(names({})).toEqual([])
})

test('a new installation without processes and messages has no finding', () => {
  const exited = { workerSeenAt: null, callbackAt: ago(60) }
  expect(names({ instances: [], exited, backlog: backlog({ deferred: 0 }) })).toEqual([])
})

describe('no_worker', () => {
  const without = (seconds: number, waiting = 214): readonly Finding[] =>
    found({
      instances: [WEB],
      exited: { workerSeenAt: ago(seconds), callbackAt: null },
      backlog: backlog({ due: waiting, oldestDueAt: waiting === 0 ? null : ago(20), deferred: 0 }),
    })

  test('is critical while attempts wait, and names the time and their number', () => {
    expect(without(180)).toEqual([
      {
        name: 'no_worker',
        severity: 'critical',
        sentence: 'No worker has run for 3 min; 214 attempts wait',
        advice: expect.stringContaining('sms-retry worker'),
        path: '/queue',
      },
    ])
  })

  test('appears within a minute after the last heartbeat, and not during the gap of a restart', () => {
    expect(without(49)).toEqual([])
    expect(without(50)).toHaveLength(1)
    const died = instance('worker', {}, { seenAt: ago(50) })
    expect(names({ instances: [died, WEB] })).toEqual(['no_worker'])
    expect(names({ instances: [died, WORKER, WEB] })).toEqual([])
  })

  test('is a warning while nothing waits, for a day', () => {
    expect(without(3600, 0)[0]).toMatchObject({ severity: 'warning' })
    expect(without(86_401, 0)).toEqual([])
    expect(without(864_000, 1)[0]?.sentence).toBe('No worker has run for 10 d; 1 attempt waits')
  })

  test('gives a first worker a minute to start', () => {
    const first = (seconds: number): string[] =>
      names({
        instances: [WEB],
        exited: { workerSeenAt: null, callbackAt: null },
        backlog: backlog({ due: 1, oldestDueAt: ago(seconds) }),
      })
    expect(first(59)).toEqual([])
    expect(first(60)).toEqual(['no_worker'])
  })
})

describe('retries_overdue', () => {
  const overdue = (seconds: number, changes: Partial<HealthFigures> = {}): string[] =>
    names({ backlog: backlog({ due: 2, oldestDueAt: ago(seconds) }), ...changes })
  const busy = [instance('worker', { claimedAt: ago(2) }), WEB]

  test('appears after five minutes if no worker makes an attempt', () => {
    expect(overdue(299)).toEqual([])
    expect(overdue(300)).toEqual(['retries_overdue'])
    expect(found({ backlog: backlog({ due: 2, oldestDueAt: ago(600) }) })[0]).toMatchObject({
      severity: 'critical',
      sentence: '2 attempts are due, the oldest for 10 min, and no worker makes one',
    })
  })

  test('is a warning after an hour while workers make other attempts, such as those of a campaign', () => {
    expect(overdue(3599, { instances: busy })).toEqual([])
    expect(found({ backlog: backlog({ due: 1, oldestDueAt: ago(3600) }), instances: busy })[0]).toMatchObject(
      {
        severity: 'warning',
        sentence: '1 attempt is due, the oldest for 1 h, although workers make others',
      },
    )
    expect(overdue(400, { instances: [instance('worker', null), WEB] })).toEqual([])
  })

  test('gives workers a minute after the end of a hold or a pause', () => {
    const resumed = (seconds: number): string[] =>
      overdue(900, { account: { hold: null, pause: null, workingSince: ago(seconds) } })
    expect(resumed(59)).toEqual([])
    expect(resumed(60)).toEqual(['retries_overdue'])
  })

  test('a send rate reserved far ahead means a clock that was set back, and hides nothing', () => {
    expect(overdue(900, { rateReservedUntil: ago(-500) })).toEqual([])
    expect(overdue(900, { rateReservedUntil: ago(-86_400) })).toEqual(['retries_overdue'])
  })

  test('does not appear in the gap of a restart, and gives the new worker a minute', () => {
    const exited = { workerSeenAt: ago(30), callbackAt: null }
    expect(overdue(900, { instances: [WEB], exited })).toEqual([])
    expect(overdue(900, { instances: [instance('worker', {}, { startedAt: ago(59) })] })).toEqual([])
    expect(overdue(900, { instances: [instance('worker', {}, { startedAt: ago(60) })] })).toHaveLength(1)
  })

  test.each<[string, Partial<HealthFigures>]>([
    ['the send rate limits them', { rateReservedUntil: ago(1) }],
    [
      'sending is paused',
      { account: { hold: null, pause: { since: ago(9000), by: 'Ann', reason: null }, workingSince: null } },
    ],
    ['the queue is missing', { queue: { state: 'missing', failedOutcomes: 0 } }],
    ['no worker runs', { instances: [WEB] }],
  ])('does not appear while %s', (_why, changes) => {
    expect(overdue(9000, changes)).not.toContain('retries_overdue')
  })
})

describe('in_doubt', () => {
  test('appears when several lookups have failed, and is critical after an hour', () => {
    const inDoubt = (seconds: number): readonly Finding[] =>
      found({ backlog: backlog({ inDoubt: 11, oldestInDoubtAt: ago(seconds) }) })
    expect(inDoubt(899)).toEqual([])
    expect(inDoubt(1560)[0]).toMatchObject({
      name: 'in_doubt',
      severity: 'warning',
      sentence: '11 attempts are in doubt, the oldest for 26 min: Twilio may or may not have the message',
      path: '/messages?status=submitting',
    })
    expect(inDoubt(3600)[0]?.severity).toBe('critical')
  })
})

describe('hold and paused', () => {
  const hold = {
    since: ago(720),
    errorCode: 20003,
    liftedBy: 'accepted' as const,
    probes: 2,
    probeAt: ago(0),
  }
  const pause = { since: ago(60), by: 'Ann', reason: 'Wrong text' }

  test('a hold is critical, a pause of a person is a warning, and critical findings come first', () => {
    expect(found({ account: { hold, pause, workingSince: null } })).toMatchObject([
      {
        name: 'hold',
        severity: 'critical',
        sentence: expect.stringMatching(
          /^Sending is on hold: the Twilio account fails with 20003 \(.*\), for 12 min; 3 attempts wait$/,
        ),
      },
      {
        name: 'paused',
        severity: 'warning',
        sentence: 'Sending is paused: Wrong text (by Ann, 1 min ago); 3 attempts wait',
      },
    ])
  })
})

describe('callbacks_stopped', () => {
  const missing = (ages: readonly number[], web: readonly ObservedInstance[]): string[] =>
    names({ instances: [instance('worker', { missedAt: ages.map(ago) }), ...web] })
  const silent = [instance('web', { callbackAt: ago(900) })]
  const FIVE = [300, 250, 200, 150, 100]

  test('appears after five missed callbacks without one that arrived', () => {
    expect(missing(FIVE.slice(1), silent)).toEqual([])
    expect(missing(FIVE, silent)).toEqual(['callbacks_stopped'])
    expect(
      found({ instances: [instance('worker', { missedAt: FIVE.map(ago) }), ...silent] })[0]?.sentence,
    ).toBe('No status callback has arrived for 15 min, although the status of 5 messages changed')
  })

  test('silence without messages, as at night, is no sign', () => {
    expect(missing([], [instance('web', { callbackAt: ago(36_000) })])).toEqual([])
  })

  test('callbacks that are lost one by one, between others that arrive, are no sign', () => {
    expect(missing([3000, 2000, 1500, 1000, 800, 120], [instance('web', { callbackAt: ago(110) })])).toEqual(
      [],
    )
  })

  test('counts only what was missed until the heartbeats of all web processes', () => {
    expect(
      missing([90, 80, 70, 60, 50], [instance('web', { callbackAt: ago(900) }, { seenAt: ago(55) })]),
    ).toEqual([])
  })

  test('counts from the start of a process that has had no callback, and from the last callback of exited ones', () => {
    expect(missing(FIVE, [instance('web', {}, { startedAt: ago(200) })])).toEqual([])
    const instances = [instance('worker', { missedAt: FIVE.map(ago) })]
    const exited = (seconds: number): HealthFigures['exited'] => ({
      workerSeenAt: null,
      callbackAt: ago(seconds),
    })
    expect(names({ instances, exited: exited(400) })).toEqual(['callbacks_stopped'])
    expect(names({ instances, exited: exited(200) })).toEqual([])
  })

  test('is not judged while a web process of an older version runs', () => {
    expect(missing(FIVE, [...silent, instance('web', null)])).toEqual([])
  })
})

describe('callbacks_refused', () => {
  const refusing = (ages: readonly number[], callbackAge: number): readonly Finding[] =>
    found({
      instances: [WORKER, instance('web', { refusedAt: ages.map(ago), callbackAt: ago(callbackAge) })],
    })

  test('appears after genuine callbacks of three messages were refused, also if others are accepted', () => {
    expect(refusing([60, 50], 5)).toEqual([])
    expect(refusing([60, 50, 40], 5)).toMatchObject([
      {
        name: 'callbacks_refused',
        severity: 'critical',
        sentence: 'Status callbacks of 3 messages came from Twilio and were refused',
      },
    ])
  })

  test('counts refusals of a day until a callback is accepted, and of an hour after that', () => {
    expect(refusing([40_000, 20_000, 7000], 50_000)).toHaveLength(1)
    expect(refusing([40_000, 20_000, 7000], 60)).toEqual([])
  })

  test('takes the place of callbacks_stopped, because refused callbacks are missed as well', () => {
    const worker = instance('worker', { missedAt: [300, 250, 200, 150, 100].map(ago) })
    const web = instance('web', { refusedAt: [60, 50, 40].map(ago), callbackAt: ago(900) })
    expect(names({ instances: [worker, web] })).toEqual(['callbacks_refused'])
  })
})

describe('queue_missing and outcomes_failed', () => {
  test('the queue is missing, or older than this version', () => {
    for (const [state, what] of [
      ['missing', 'does not exist'],
      ['outdated', 'is of an older version'],
    ] as const)
      expect(found({ queue: { state, failedOutcomes: 0 } })).toMatchObject([
        { name: 'queue_missing', severity: 'critical', sentence: expect.stringContaining(what) },
      ])
  })

  test('failed outcomes are counted, and the count says where it ends', () => {
    const failed = (failedOutcomes: number): string | undefined =>
      found({ queue: { state: 'current', failedOutcomes } })[0]?.sentence
    expect(failed(1)).toBe('1 outcome failed all deliveries to the app')
    expect(failed(1000)).toBe('1,000 or more outcomes failed all deliveries to the app')
  })
})

describe('versions_differ and settings_differ', () => {
  const other = { version: '0.9.0', settings: { outcomeEvents: true } }

  test('appear when processes that run for longer than a deploy differ', () => {
    const old = instance('worker', {}, { ...other, host: 'old', pid: 7 })
    expect(found({ instances: [WORKER, WEB, old] })).toMatchObject([
      { name: 'versions_differ', sentence: expect.stringContaining('1.0.0 (2), 0.9.0 (1)') },
      { name: 'settings_differ', sentence: expect.stringContaining('worker app:1, web app:1') },
    ])
  })

  const policyOf = (
    role: string,
    policy: string,
    changes: Partial<ObservedInstance> = {},
  ): ObservedInstance => instance(role, {}, { ...changes, settings: { outcomeEvents: false, policy } })

  test('settings_differ names each setting that differs, its values, and their processes', () => {
    const usual = { outcomeEvents: false, policy: 'a1', account: 'AC…000001', sendWindow: 'none' }
    const settings = { ...usual, policy: 'b2', account: 'AC…000002', sendWindow: '08:00-21:00' }
    const agreeing = [instance('worker', {}, { settings: usual }), instance('web', {}, { settings: usual })]
    expect(names({ instances: agreeing })).toEqual([])
    expect(
      found({ instances: [instance('sender', {}, { settings, pid: 9 }), ...agreeing] }).map(
        ({ sentence }) => sentence,
      ),
    ).toEqual([
      expect.stringMatching(
        /^The retry policy \(RETRY_POLICY_FILE, .* a1 in worker app:1, web app:1; b2 in sender app:9$/,
      ),
      expect.stringMatching(
        /^TWILIO_ACCOUNT_SID .* AC…000001 in worker app:1, web app:1; AC…000002 in sender app:9$/,
      ),
      expect.stringMatching(/^The send window \(SEND_WINDOW, .* none in .*; 08:00-21:00 in sender app:9$/),
    ])
  })

  test('settings_differ ignores a process that does not report a setting, and policies of another version', () => {
    const silent = instance('sender', {}, { settings: { outcomeEvents: false } })
    expect(names({ instances: [policyOf('worker', 'a1'), policyOf('web', 'a1'), silent] })).toEqual([])
    const app = policyOf('sender', 'b2', { version: '0.9.0' })
    expect(names({ instances: [policyOf('worker', 'a1'), app] })).toEqual(['versions_differ'])
  })

  test('settings_differ names five processes of a value, and counts the others', () => {
    const many = Array.from({ length: 8 }, (_, n) => policyOf('web', 'a1', { pid: n + 1 }))
    expect(found({ instances: [...many, policyOf('worker', 'b2')] })[0]?.sentence).toMatch(
      /a1 in web app:1, .*web app:5, 3 more; b2 in worker app:1$/,
    )
  })

  test('a rolling deploy and a process that exited are no sign', () => {
    expect(
      names({ instances: [WORKER, WEB, instance('web', {}, { ...other, startedAt: ago(599) })] }),
    ).toEqual([])
    expect(
      names({ instances: [WORKER, WEB, instance('sender', {}, { ...other, seenAt: ago(61) })] }),
    ).toEqual([])
  })
})

describe('code_jumped', () => {
  const week = counts(6000, { 30003: 60, 30007: 12 })
  const jump = (lastHour: CodeCounts, changes: Partial<HealthFigures['codes']> = {}): readonly Finding[] =>
    found({ codes: { lastHour, lastSixHours: NO_CODES, weekBefore: week, ...changes } })

  test('names the code, its meaning, and both shares', () => {
    expect(jump(counts(1000, { 30003: 10, 30007: 60 }))).toEqual([
      {
        name: 'code_jumped',
        severity: 'warning',
        sentence: expect.stringMatching(
          /^30007 \(.*\): 6\.0 % of the messages of the last hour failed with it, 0\.2 % in the week before \(60 failures seen\)$/,
        ),
        advice: expect.any(String),
        path: '/error-codes/30007',
      },
    ])
    expect(jump(counts(1000, { 30007: 100 }))[0]?.severity).toBe('critical')
  })

  test('a share that tripled is within what campaigns and nights change', () => {
    expect(jump(counts(1000, { 30003: 30, 30007: 6 }))).toEqual([])
  })

  test('nine failures are too few, however rare the code is', () => {
    const weekBefore = counts(60_000)
    expect(jump(counts(1000, { 63038: 9 }), { weekBefore })).toEqual([])
    expect(jump(counts(1000, { 63038: 10 }), { weekBefore })).toHaveLength(1)
  })

  test('a new installation without a week before has no jump', () => {
    expect(jump(counts(500, { 30003: 100 }), { weekBefore: NO_CODES })).toEqual([])
    expect(jump(counts(500, { 30003: 30 }), { weekBefore: counts(400, { 30003: 20 }) })).toEqual([])
  })

  test('looks at six hours if the last hour has few messages', () => {
    const lastSixHours = counts(90, { 30007: 30 })
    expect(jump(counts(15, { 30007: 9 }), { lastSixHours })[0]?.sentence).toContain('of the last 6 hours')
  })

  test('shows the five worst codes, the largest increase first', () => {
    const codes = { 30002: 60, 30004: 70, 30005: 80, 30006: 90, 30007: 100, 30008: 110 }
    const paths = jump(counts(1000, codes)).map(({ path }) => path)
    expect(paths).toEqual(['30008', '30007', '30006', '30005', '30004'].map((code) => `/error-codes/${code}`))
  })
})

test('binomialTail agrees with the definition, and does not underflow', () => {
  // Sums of C(n, k) p^k (1-p)^(n-k).
  expect(binomialTail(10, 0.5, 9)).toBeCloseTo(11 / 1024, 12)
  expect(binomialTail(3, 0.1, 2)).toBeCloseTo(0.028, 12)
  expect(binomialTail(20, 0.05, 20) / 0.05 ** 20).toBeCloseTo(1, 9)
  expect(binomialTail(100_000, 0.9, 50_000)).toBe(1)
  const tail = binomialTail(100_000, 0.01, 1200)
  expect(tail).toBeGreaterThan(1e-10)
  expect(tail).toBeLessThan(1e-9)
})
