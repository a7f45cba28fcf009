// Ends of the demo that test/demo/demo.test.ts does not have. Needs dist/.
import { expect, test } from '@jest/globals'
import { SENDING, useDemos } from '../demo/demos.ts'

const demos = useDemos()

test('SIGINT stops the demo while messages are sent, and leaves no process and no folder', () =>
  demos.expectOrderlyStop('SIGINT', SENDING))

test('kill -9 during the demo leaves no process and no folder', async () => {
  const { ended, kill } = await demos.startUntil(SENDING)
  expect(await demos.folder().leftBehind()).not.toEqual({ files: [], processes: [] })
  kill('SIGKILL')
  await ended
  await demos.folder().untilEmpty()
})
