// Tests which messages count as waiting for their send window, and that no others are read.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { readDeferredGroups } from '../../src/db/deferred-groups.ts'
import type { Circumstances } from '../../src/delivery/decision.ts'
import type { SendWindow } from '../../src/delivery/send-window.ts'
import { countWindowWaits } from '../../src/metrics/window-waits.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { zonesOfNumber } from '../../src/shared/recipient-zones.ts'
import { open } from '../db/original-table.ts'
import { planOf, rowsReadBy } from '../db/plan.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let own: TestDatabase
let database: Database

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own)
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

beforeEach(() => own.query('truncate sms_usage_logs'))

/** A window that opens in about `hours` hours, by the clock of UTC, and stays open for an hour. */
function opensIn(hours: number): SendWindow {
  const at = (hour: number): string =>
    `${new Date(Date.now() + hour * 3_600_000).toISOString().slice(11, 13)}:00`
  return { from: at(hours), to: at(hours + 1) }
}
const CLOSED = opensIn(12)
const textOf = ({ from, to }: SendWindow): string => `${from}-${to}`
/** Open now, and for hours. */
const OPEN: SendWindow = { from: CLOSED.to, to: CLOSED.from }

const UTC: Pick<Circumstances, 'zonesOf'> = { zonesOf: () => ['UTC'] }
const count = (sendWindow: SendWindow | null, zones = UTC): Promise<number> =>
  countWindowWaits(database, { sendWindow, ...zones })

interface Given {
  readonly status?: string
  /** An SQL expression. */
  readonly nextRetryAt?: string
  readonly metadata?: object
  readonly to?: string
  readonly direction?: string
}

async function insert(given: Given = {}): Promise<void> {
  const { status = 'retrying', nextRetryAt = `now() + interval '3 hours'`, metadata = {} } = given
  const { to = '+12065550100', direction = 'outbound' } = given
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, next_retry_at, sms_metadata)
     values (1, $1, $2, 5, 'Hello', $3, (${nextRetryAt}) at time zone 'UTC', $4)`,
    [to, direction, status, metadata],
  )
}

const later = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString()

test.each<[what: string, given: Given, fallback: SendWindow | null, expected: number]>([
  ['a retry while the window is closed', {}, CLOSED, 1],
  ['a first attempt while the window is closed', { status: 'pending' }, CLOSED, 1],
  ['a message with its own closed window', { metadata: { send_window: textOf(CLOSED) } }, null, 1],
  [
    'a message with its own window and time zone',
    { metadata: { send_window: textOf(CLOSED), time_zone: 'UTC' } },
    OPEN,
    1,
  ],
  ['no retry while the window is open: it waits for its delay', {}, OPEN, 0],
  ['no message without a window', {}, null, 0],
  ['no message that may be sent at any time', { metadata: { send_window: 'any' } }, CLOSED, 0],
  ['no message that the app asked to send later', { metadata: { send_after: later(2) } }, CLOSED, 0],
  ['a message whose asked time has passed', { metadata: { send_after: later(-2) } }, CLOSED, 1],
  ['no retry that is due', { nextRetryAt: `now() - interval '1 s'` }, CLOSED, 0],
  ['no retry set aside', { nextRetryAt: `'infinity'::timestamptz` }, CLOSED, 0],
  ['no message with Twilio', { status: 'sent' }, CLOSED, 0],
  ['no inbound message', { direction: 'inbound' }, CLOSED, 0],
  [
    'a message whose own window cannot be read, by the general one',
    { metadata: { send_window: 'x' } },
    CLOSED,
    1,
  ],
])('counts %s', async (_what, given, fallback, expected) => {
  await insert(given)
  expect(await count(fallback)).toBe(expected)
})

test('adds up messages of all areas, each by the time zones of its number', async () => {
  const hourIn = (zone: string): number =>
    Number(
      new Intl.DateTimeFormat('en', { timeZone: zone, hour: '2-digit', hourCycle: 'h23' }).format(new Date()),
    )
  // Open from two hours before this hour in Seattle until the next hour there: in Tokyo it is another time of day.
  const two = (hour: number): string => `${String((hour + 24) % 24).padStart(2, '0')}:00`
  const seattle = hourIn('America/Los_Angeles')
  const window: SendWindow = { from: two(seattle - 2), to: two(seattle + 3) }
  for (const to of ['+12065550100', '+12065550101', '+81312345678', '+81312345679', '+81351234567'])
    await insert({ to })
  const zonesOf = (to: string): readonly string[] => zonesOfNumber(to) ?? []
  expect(await count(window, { zonesOf })).toBe(3)
})

test('leaves out messages whose time zone is not known', async () => {
  await insert({ to: '+18005550100' })
  expect(await count(CLOSED, { zonesOf: () => [] })).toBe(0)
})

test('reads the index over messages in flight, and no other row', async () => {
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, next_retry_at)
     select 1, '+1206555' || lpad((n % 10000)::text, 4, '0'), 'outbound', 5,
            case when n % 100 = 0 then 'retrying' else 'delivered' end, now() at time zone 'UTC' + interval '3 hours'
       from generate_series(1, 40000) n`,
  )
  await own.query('vacuum analyze sms_usage_logs')
  const { scans } = await planOf(own, (db) => readDeferredGroups(db, true))
  expect(scans.map((node) => node['Node Type'])).not.toContain('Seq Scan')
  expect(scans.reduce((sum, node) => sum + rowsReadBy(node), 0)).toBeLessThan(1_000)
  expect(await count(CLOSED)).toBe(400)
})
