// Tests the question that a command asks at the terminal.
import { PassThrough } from 'node:stream'
import { expect, test } from '@jest/globals'
import { confirm } from '../../src/cli/confirm.ts'

async function answered(text: string): Promise<boolean> {
  const [input, output] = [new PassThrough(), new PassThrough()]
  input.end(text)
  const isConfirmed = await confirm('Retry 3 messages? [y/N] ', { input, output })
  expect(String(output.read())).toContain('Retry 3 messages? [y/N] ')
  return isConfirmed
}

test.each(['y\n', 'Y\n', 'yes\n', ' yes \r\n'])('%j confirms', async (text) => {
  expect(await answered(text)).toBe(true)
})

test.each(['\n', 'n\n', 'no\n', 'yess\n', 'maybe\ny\n', ''])('%j does not confirm', async (text) => {
  expect(await answered(text)).toBe(false)
})
