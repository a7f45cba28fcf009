// The primary dies while commits of `send` wait for a standby that does not hear of them. Transaction numbers are given
// out again by the promoted one, so none of them says what became of a message.
import { expect, test } from '@jest/globals'
import { DatabaseError } from '../../src/shared/errors.ts'
import { waitFor } from '../support/wait-for.ts'
import { FailoverWorld } from './failover-world.ts'
import { waitingCommits } from './run-failovers.ts'

const SENDS = 5

test('a send whose commit was never answered gets no id that has no row', async () => {
  const world = await FailoverWorld.start('synchronous', 0.003)
  try {
    const { cluster, sender, simulator } = world
    cluster.cutReplication()
    const sending = Promise.allSettled(
      Array.from({ length: SENDS }, (_, i) =>
        sender.send({ userId: 1, to: '+12065550199', body: `Unanswered ${i}` }),
      ),
    )
    await waitFor('all commits to wait', async () => (await waitingCommits(world)) >= SENDS)
    const killed = await cluster.killPrimary('reset')
    const promoted = await cluster.promote()
    await promoted.query(
      'postgres',
      `do $$ begin for i in 1..200 loop perform txid_current(); commit; end loop; end $$`,
    )
    cluster.repoint()
    const results = await sending
    await killed.remove()

    const rows = await world.rowsOn(promoted)
    const bodies = new Map(rows.map(({ id, body }) => [id, body]))
    for (const [i, result] of results.entries()) {
      const body = `Unanswered ${i}`
      if (result.status === 'fulfilled') {
        expect(bodies.get(result.value.id)).toBe(body)
      } else {
        // The promoted server answers whether it has the row: it has not.
        expect(result.reason).toBeInstanceOf(DatabaseError)
        expect(result.reason).toMatchObject({ written: 'no' })
        expect([...bodies.values()]).not.toContain(body)
      }
    }
    expect(simulator.messages().filter(({ body }) => ![...bodies.values()].includes(body ?? ''))).toEqual([])
  } finally {
    await world.stop()
  }
})
