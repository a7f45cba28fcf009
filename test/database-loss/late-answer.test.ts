// An answer whose recording takes so long that another process has made the attempt again meanwhile.
import { expect, test } from '@jest/globals'
import { accept, answerWith, errorBody } from '../support/fake-twilio.ts'
import { waitFor } from '../support/wait-for.ts'
import { message, newWorldWith, rowOf } from '../support/world-with.ts'
import { type Lossy, linesWith, lossy } from './lossy-world.ts'

test('"not processed" was committed, and comes again while the next request is under way: that is left alone', async () => {
  let lossyWorld: Lossy
  let lost: Promise<void> | undefined
  const recordedAgain = Promise.withResolvers<void>()
  const { world, twilio } = await newWorldWith(async (response, post) => {
    if (twilio.posts.length > 1) {
      await recordedAgain.promise
      return accept(response, post)
    }
    lost = lossyWorld.proxy.loseAt('commit', 'unanswered', 'silence')
    return answerWith(429, errorBody(429, 20429, 'Too many requests'))(response, post)
  })
  lossyWorld = await lossy(world)
  const sender = await lossyWorld.openSender()
  const sending = sender.send(message())
  await waitFor('the first request', () => twilio.posts.length === 1)
  await lost
  // It reaches the database, while the sender waits for the answer to its commit in vain.
  await world.startWorker()
  await waitFor('the second request, of the worker', () => twilio.posts.length === 2)
  const { id } = await sending
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting' })
  recordedAgain.resolve()
  await waitFor('the answer', () => linesWith(world.log, 'Attempt submitted').length === 1)
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'queued' })
  expect(twilio.posts).toHaveLength(2)
})
