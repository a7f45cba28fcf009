// Tests the backlog after an outage of an hour: SEND_RATE_PER_SECOND prevents a burst of all workers at Twilio. Set MESSAGES
// and RATE to repeat the measurement in docs/reliability.md.
import { expect, test } from '@jest/globals'
import { runWorker } from '../../src/processes/worker.ts'
import { DEFAULT_POOL } from '../support/world.ts'
import { closeLater, newWorld, rowsOf } from '../support/world-with.ts'
import { waitFor } from '../support/wait-for.ts'

const MESSAGES = Number(process.env['MESSAGES'] ?? 300)
const RATE = Number(process.env['RATE'] ?? 100)
const WORKERS = 2
/** One message in ten is past its deadline. */
const PAST_DEADLINE = MESSAGES / 10

test(`${MESSAGES} due attempts are made by ${WORKERS} workers at ${RATE} a second in all, and none after its deadline`, async () => {
  const world = await newWorld({ env: { SEND_RATE_PER_SECOND: `${RATE}`, ...DEFAULT_POOL } })
  await world.database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, success,
                                 retry_count, final_status, next_retry_at, sms_metadata, created_at)
     select 1, '+12065550101', 'outbound', 5, 'Hello', false, 1, 'retrying', now() - interval '1 hour',
            jsonb_strip_nulls(jsonb_build_object(
              'reconcile_at', to_char(now() - interval '59 minutes', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
              'deadline', case when i % 10 = 0
                then to_char(now() - interval '30 minutes', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end,
              'attempts', jsonb_build_array(
                jsonb_build_object('number', 0, 'status', 'failed', 'error_code', 30001, 'times', '{}'::jsonb),
                jsonb_build_object('number', 1, 'status', 'pending', 'times', '{}'::jsonb)))),
            now() - interval '2 hours'
       from generate_series(1, $1) as i`,
    [MESSAGES],
  )

  await world.startWorker()
  for (let i = 1; i < WORKERS; i += 1) {
    const worker = await runWorker(world.openRuntime())
    closeLater(() => worker.stop())
  }
  const isOver = async (): Promise<boolean> => {
    const [row] = await world.database.query<{ open: number }>(
      `select count(*)::int as "open" from sms_usage_logs where final_status not in ('delivered', 'expired')`,
    )
    return row?.open === 0
  }
  await waitFor('all to be over', isOver, 120_000 + (MESSAGES / RATE) * 3_000)

  const rows = await rowsOf(world)
  expect(rows.filter(({ final_status }) => final_status === 'expired')).toHaveLength(PAST_DEADLINE)
  const posts = world.simulator.messages()
  expect(posts).toHaveLength(MESSAGES - PAST_DEADLINE)
  expect(world.simulator.doubleSubmissions()).toEqual([])

  // Never more than the rate allows since the start. Each worker may start the attempts of a tenth of a second together, and
  // the first request may arrive late.
  const times = posts.map(({ created_at_ms }) => created_at_ms).sort((one, other) => one - other)
  const startMs = times[0] ?? 0
  const allowance = RATE * (0.1 * WORKERS + 0.5)
  const ahead = times.filter((atMs, i) => i > (RATE * (atMs - startMs)) / 1000 + allowance)
  expect(ahead).toEqual([])
  const seconds = ((times.at(-1) ?? 0) - startMs) / 1000
  process.stdout.write(
    `${posts.length} attempts in ${seconds.toFixed(1)} s: ${(posts.length / seconds).toFixed(0)} a second\n`,
  )
}, 600_000)
