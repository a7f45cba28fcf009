// The actions of the dashboard: each form performs its action once, and foreign or outdated forms do nothing.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, formOf, get, post } from './operator.ts'

let database: TestDatabase
let web: endpoint.Endpoint
let id: number

beforeAll(async () => {
  database = await createTestDatabase()
  web = await endpoint.startEndpoint(database.url, CREDENTIALS)
})

afterAll(async () => {
  expect(endpoint.personalLines(web.log)).toEqual([])
  await web.stop()
  await database.drop()
})

/** A failed message whose first retry is due in five minutes. */
beforeEach(async () => {
  const row = await endpoint.insertSentRow(database)
  id = row.id
  const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
  await endpoint.post(web, { path: endpoint.statusPath(id), fields })
  expect(await stateOf()).toMatchObject({ status: 'retrying', retryCount: 1, isDue: false })
})

async function stateOf(): Promise<Record<string, unknown> | undefined> {
  const [row] = await database.query(
    `select final_status as "status", retry_count as "retryCount", next_retry_at <= now() as "isDue"
       from sms_usage_logs where id = $1`,
    [id],
  )
  return row
}

const jobsOf = async (): Promise<number[]> =>
  (await endpoint.jobs(database)).flatMap(({ data }) => (data.message === id ? [data.attempt] : []))

const open = async (action: 'retry' | 'cancel'): Promise<Record<string, string>> =>
  formOf(await get(web, `/messages/${id}/${action}`))

describe('the action retry now', () => {
  test('asks to confirm, makes the retry due now, and shows a notice', async () => {
    const form = await open('retry')
    expect(await stateOf()).toMatchObject({ isDue: false })
    const { status, headers } = await post(web, `/messages/${id}/retry`, form)
    expect([status, headers.get('Location')]).toEqual([303, `/messages/${id}?notice=retry`])
    expect(await stateOf()).toEqual({ status: 'retrying', retryCount: 1, isDue: true })
    expect(await jobsOf()).toEqual([1])
    expect((await get(web, `/messages/${id}?notice=retry`)).text).toContain('Retry requested')
  })

  test('is performed once when the form is submitted 22 times', async () => {
    const form = await open('retry')
    const answers = await Promise.all(
      Array.from({ length: 22 }, () => post(web, `/messages/${id}/retry`, form)),
    )
    const notices = answers.map(({ headers }) => headers.get('Location')?.split('=')[1])
    expect(notices.toSorted()).toEqual([...Array<string>(21).fill('nothing'), 'retry'])
    expect(await jobsOf()).toEqual([1])
  })

  test('does nothing if the message changed since the form was opened', async () => {
    const form = await open('retry')
    await post(web, `/messages/${id}/cancel`, await open('cancel'))
    const { headers } = await post(web, `/messages/${id}/retry`, form)
    expect(headers.get('Location')).toBe(`/messages/${id}?notice=nothing`)
    expect(await stateOf()).toMatchObject({ status: 'canceled' })
  })

  test('warns for an error code that is never retried, and is performed once confirmed', async () => {
    await database.query(
      `update sms_usage_logs
          set final_status = 'undelivered', next_retry_at = null, retry_count = 0,
              sms_metadata = '{"attempts": [{"number": 0, "status": "undelivered", "error_code": 30006}]}'
        where id = $1`,
      [id],
    )
    const page = await get(web, `/messages/${id}/retry`)
    expect(page.text).toContain('This retry must be forced')
    await post(web, `/messages/${id}/retry`, formOf(page))
    expect(await stateOf()).toEqual({ status: 'retrying', retryCount: 1, isDue: true })
  })
})

describe('the action cancel', () => {
  test('cancels the message once', async () => {
    const form = await open('cancel')
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => post(web, `/messages/${id}/cancel`, form)),
    )
    const notices = answers.map(({ headers }) => headers.get('Location')?.split('=')[1])
    expect(notices.toSorted()).toEqual(['cancel', ...Array<string>(4).fill('nothing')])
    expect(await stateOf()).toMatchObject({ status: 'canceled' })
    expect(await jobsOf()).toEqual([])
  })

  test('is not offered for a canceled message', async () => {
    await post(web, `/messages/${id}/cancel`, await open('cancel'))
    expect((await get(web, `/messages/${id}`)).text).not.toContain(`/messages/${id}/cancel`)
    expect((await get(web, `/messages/${id}/cancel`)).headers.get('Location')).toBe(
      `/messages/${id}?notice=nothing`,
    )
  })
})

describe('a form that the dashboard did not make for this message', () => {
  const before = { status: 'retrying', retryCount: 1, isDue: false }

  test.each<[string, (form: Record<string, string>) => Record<string, string>]>([
    ['without a key', ({ key: _key, ...form }) => form],
    ['with the key of no message', (form) => ({ ...form, key: 'x' })],
    ['without the status it was opened for', ({ status: _status, ...form }) => form],
    ['with an unknown status', (form) => ({ ...form, status: 'constructor' })],
    ['with a retry count that is not a number', (form) => ({ ...form, retryCount: '1e3' })],
    ['with a force that is neither true nor false', (form) => ({ ...form, force: 'yes' })],
    ['with brackets in the name of a field', (form) => brackets(form, 'status')],
    ['without any field', () => ({})],
  ])('is refused %s', async (_what, change) => {
    const form = change(await open('retry'))
    expect((await post(web, `/messages/${id}/retry`, form)).status).toBe(403)
    expect(await stateOf()).toEqual(before)
  })

  const brackets = (form: Record<string, string>, name: string): Record<string, string> =>
    Object.fromEntries(Object.entries(form).map(([key, value]) => [key === name ? `${key}[x]` : key, value]))

  test('is refused if another message had the same id when it was opened', async () => {
    const form = await open('retry')
    await database.query(
      `update sms_usage_logs set sms_metadata = jsonb_set(sms_metadata, '{callback_key}', '"AAAAAAAAAAAAAAAA"') where id = $1`,
      [id],
    )
    expect((await post(web, `/messages/${id}/retry`, form)).status).toBe(403)
    expect(await stateOf()).toEqual(before)
  })

  test('is refused without credentials', async () => {
    const form = await open('cancel')
    expect((await post(web, `/messages/${id}/cancel`, form, { Authorization: '' })).status).toBe(401)
    expect(await stateOf()).toEqual(before)
  })

  test('is refused if it is larger than any form', async () => {
    const form = { ...(await open('cancel')), more: 'x'.repeat(5_000) }
    expect((await post(web, `/messages/${id}/cancel`, form)).status).toBe(413)
    expect(await stateOf()).toEqual(before)
  })

  test('does nothing when it is sent by GET', async () => {
    const form = new URLSearchParams(await open('cancel'))
    await get(web, `/messages/${id}/cancel?${form}`)
    expect(await stateOf()).toEqual(before)
  })
})
