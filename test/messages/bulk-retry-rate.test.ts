// Tests that a retry of many messages leaves room for others: a real worker with a send rate sends a new message before the
// retries are done.
import { expect, test } from '@jest/globals'
import { readNow } from '../../src/db/search.ts'
import { actOnMatches } from '../../src/messages/act-on-matches.ts'
import { retriesPerSecond } from '../../src/messages/retry-pace.ts'
import { toSearch } from '../../src/messages/message-filter.ts'
import { newProcess } from '../support/timed-world.ts'
import { waitFor } from '../support/wait-for.ts'
import { appClient, message, newWorld } from '../support/world-with.ts'

/** Slow enough for a busy machine. */
const SEND_RATE = 6
const RETRIES = 45

test('a message that is enqueued after a bulk retry is sent before the retries are done', async () => {
  const world = await newWorld({
    env: { RETRY_DELAY_SCALE: '1', SEND_RATE_PER_SECOND: `${SEND_RATE}` },
  })
  await world.database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, final_status,
                                 success, sms_metadata)
     select 1, '+12065550188', 'outbound', 5, 'Hello', 'failed', false,
            '{"attempts": [{"number": 0, "status": "failed", "error_code": 30003}]}'
       from generate_series(1, ${RETRIES})`,
  )
  await world.startWorker()
  const deps = await newProcess(world)
  const start = await readNow(deps.database)
  const search = toSearch({ code: 30003 }, start.at)
  const action = { kind: 'retry', search, force: false, by: 'Ann', start } as const
  const pace = retriesPerSecond(SEND_RATE)
  const result = await actOnMatches(deps, { ...action, retriesPerSecond: pace }, { after: null })
  expect(result.changed).toBe(RETRIES)
  await world.sender.enqueue(message({ to: '+12065550199' }), { db: await appClient(world) })
  const sentTo = (to: string): number => world.simulator.messages().filter((sent) => sent.to === to).length
  await waitFor('the new message', () => sentTo('+12065550199') === 1)
  expect(sentTo('+12065550188')).toBeLessThan(RETRIES)
  await waitFor('all retries', () => sentTo('+12065550188') === RETRIES)
})
