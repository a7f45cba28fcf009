// Rule 1: no transaction is open while a request to Twilio runs. That of send is in send-message.test.ts; here are those of
// the worker: its attempts, and what its sweep asks.
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { accept, answerWith, createdMessage } from '../support/fake-twilio.ts'
import { passForRows } from '../support/timed-world.ts'
import { enqueue, newWorker } from '../support/workers.ts'
import { waitFor } from '../support/wait-for.ts'
import type { World } from '../support/world.ts'
import { message, newWorldWith, rowsOf } from '../support/world-with.ts'

/** Longer than a statement of pg-boss's own takes, whose transactions come and go beside any request. */
const HELD_MS = 500

/** Transactions of ours that were open when the request arrived and still are, with what they did last. */
async function openDuringRequest({ database }: World): Promise<object[]> {
  const [arrived] = await database.query<{ at: Date }>('select clock_timestamp() as "at"')
  await sleep(HELD_MS)
  return database.query(
    `select state, query from pg_stat_activity
      where application_name = 'sms-retry' and datname = current_database() and xact_start <= $1`,
    [arrived?.at],
  )
}

test('while the worker submits, asks for a message by its sid, or looks in the list, no transaction is open', async () => {
  const seen: Record<string, object[][]> = { submit: [], fetch: [], list: [] }
  let isWorking = false
  const { world } = await newWorldWith(
    async (response, post) => {
      if (!isWorking && post.fields['Body'] === 'lost') return response.destroy()
      if (!isWorking) return accept(response, post)
      const kind = 'Body' in post.fields ? 'submit' : post.path.includes('/Messages/') ? 'fetch' : 'list'
      seen[kind]?.push(await openDuringRequest(world))
      if (kind === 'submit') return accept(response, post)
      const sid = /\/Messages\/(SM\w+)\.json/.exec(post.path)?.[1]
      const answer = kind === 'fetch' ? createdMessage({ sid, status: 'delivered' }) : { messages: [] }
      return answerWith(200, answer, { Date: new Date().toUTCString() })(response, post)
    },
    { RETRY_DELAY_SCALE: '1' },
  )
  await world.sender.send(message({ body: 'lost' }))
  await world.sender.send(message({ body: 'kept' }))
  await enqueue(world, { body: 'waiting' })
  await passForRows(world, 300)
  isWorking = true
  await newWorker(world)
  const isDone = async (): Promise<boolean> => {
    const statuses = (await rowsOf(world)).map((row) => row.final_status)
    return ['queued', 'delivered', 'queued'].every((status, i) => statuses[i] === status)
  }
  await waitFor('one to be submitted again, one to be found and one to be submitted', isDone)
  expect(seen).toEqual({ submit: [[], []], fetch: [[]], list: [[]] })
})
