// Tests the question that a command asks at the terminal.
import { PassThrough } from 'node:stream'
import { expect, test } from '@jest/globals'
import { confirm } from '../../src/cli/confirm.ts'

/** No signal is sent to the command. */
const NEVER = new AbortController().signal

async function answered(text: string): Promise<boolean> {
  const [input, output] = [new PassThrough(), new PassThrough()]
  input.end(text)
  const isConfirmed = await confirm('Retry 3 messages? [y/N] ', NEVER, { input, output })
  expect(String(output.read())).toContain('Retry 3 messages? [y/N] ')
  return isConfirmed
}

test.each(['y\n', 'Y\n', 'yes\n', ' yes \r\n'])('%j confirms', async (text) => {
  expect(await answered(text)).toBe(true)
})

test.each(['\n', 'n\n', 'no\n', 'yess\n', 'maybe\ny\n', ''])('%j does not confirm', async (text) => {
  expect(await answered(text)).toBe(false)
})

test('a signal to the command while it asks means no', async () => {
  const [input, output] = [new PassThrough(), new PassThrough()]
  const stop = new AbortController()
  const isConfirmed = confirm('Retry 3 messages? [y/N] ', stop.signal, { input, output })
  stop.abort()
  expect(await isConfirmed).toBe(false)
})
