// Tests that the commands print malicious rows and arguments safely.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { clean, styled } from '../../src/shared/output.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { runCli } from '../cli/run-cli.ts'

const HARM = '\u001b]0;owned\u0007\u001b[8m\u009b2J\u202e'
const HARMFUL = /(?![\n\t])\p{Cc}|\p{Bidi_Control}/u

let database: TestDatabase
let id: number

beforeAll(async () => {
  database = await createTestDatabase()
  const [row] = await database.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, final_status,
                                 success, error_message, twilio_message_sid, sms_metadata)
     values (1, '+1206' || $2::text, 'outbound', 5, 'text ' || $1::text, 'undelivered', false, 'why ' || $1::text, 'SM' || $1::text,
             jsonb_build_object('attempts', jsonb_build_array(jsonb_build_object(
               'number', 0, 'status', 'undelivered', 'sid', 'SM' || $1::text, 'error_text', 'error ' || $1::text,
               'times', jsonb_build_object('step ' || $1::text, '2026-07-01T12:00:00.000Z')))))
     returning id`,
    [HARM, HARM.slice(-4)],
  )
  id = row?.id ?? 0
})

afterAll(() => database.drop())

describe.each([
  ['list', () => ['list']],
  ['list --json', () => ['list', '--json']],
  ['show', () => ['show', `${id}`]],
  ['show --show-content', () => ['show', `${id}`, '--show-content']],
  ['show --json', () => ['show', `${id}`, '--json']],
  ['retry', () => ['retry', `${id}`]],
  ['retry --json', () => ['retry', `${id}`, '--json']],
  ['reconcile --dry-run', () => ['reconcile', '--dry-run']],
  ['a usage error that quotes its argument', () => ['list', '--status', HARM]],
  ['a command that does not exist', () => [HARM]],
])('%s', (_command, args) => {
  test('prints no escape sequence from a row or an argument', async () => {
    const { stdout, stderr } = await runCli(args(), { DATABASE_URL: database.url })
    expect(stdout + stderr).not.toBe('')
    expect(stdout).not.toMatch(HARMFUL)
    expect(stderr).not.toMatch(HARMFUL)
  })
})

test('JSON output keeps the value that it escapes', async () => {
  const { stdout } = await runCli(['show', `${id}`, '--json'], { DATABASE_URL: database.url })
  expect(JSON.parse(stdout)).toMatchObject({ body: `text ${HARM}`, sid: `SM${HARM}` })
})

test('the output has our colours only', () => {
  const green = '\u001b[32mdelivered\u001b[39m'
  expect(clean(`${green} \u001b[5m\u001b[8mhidden\u001b[28m`)).toBe(`${green} hidden`)
  // Without a terminal there are no colours.
  expect(clean(styled('red', 'failed'))).toContain('failed')
})
