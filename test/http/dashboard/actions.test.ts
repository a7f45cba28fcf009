// What can be done in the dashboard: once, by whoever has opened its own form, and by nobody else.
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

/** A message that failed and waits five minutes for its first retry. */
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

describe('retry now', () => {
  test('asks first, then brings the retry forward, and says so', async () => {
    const form = await open('retry')
    expect(await stateOf()).toMatchObject({ isDue: false })
    const { status, headers } = await post(web, `/messages/${id}/retry`, form)
    expect([status, headers.get('Location')]).toEqual([303, `/messages/${id}?notice=retry`])
    expect(await stateOf()).toEqual({ status: 'retrying', retryCount: 1, isDue: true })
    expect(await jobsOf()).toEqual([1])
    expect((await get(web, `/messages/${id}?notice=retry`)).text).toContain('Retry requested')
  })

  test('a double click, and twenty more, do it once', async () => {
    const form = await open('retry')
    const answers = await Promise.all(
      Array.from({ length: 22 }, () => post(web, `/messages/${id}/retry`, form)),
    )
    const notices = answers.map(({ headers }) => headers.get('Location')?.split('=')[1])
    expect(notices.toSorted()).toEqual([...Array<string>(21).fill('nothing'), 'retry'])
    expect(await jobsOf()).toEqual([1])
  })

  test('a form that was opened before the message changed does nothing', async () => {
    const form = await open('retry')
    await post(web, `/messages/${id}/cancel`, await open('cancel'))
    const { headers } = await post(web, `/messages/${id}/retry`, form)
    expect(headers.get('Location')).toBe(`/messages/${id}?notice=nothing`)
    expect(await stateOf()).toMatchObject({ status: 'canceled' })
  })

  test('of a code that is never retried warns, and is done if it is confirmed', async () => {
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

describe('cancel', () => {
  test('calls the message off, once', async () => {
    const form = await open('cancel')
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => post(web, `/messages/${id}/cancel`, form)),
    )
    const notices = answers.map(({ headers }) => headers.get('Location')?.split('=')[1])
    expect(notices.toSorted()).toEqual(['cancel', ...Array<string>(4).fill('nothing')])
    expect(await stateOf()).toMatchObject({ status: 'canceled' })
    expect(await jobsOf()).toEqual([])
  })

  test('is not offered when there is nothing to call off', async () => {
    await post(web, `/messages/${id}/cancel`, await open('cancel'))
    expect((await get(web, `/messages/${id}`)).text).not.toContain(`/messages/${id}/cancel`)
    expect((await get(web, `/messages/${id}/cancel`)).headers.get('Location')).toBe(
      `/messages/${id}?notice=nothing`,
    )
  })
})

describe('a form that is not the dashboard’s own', () => {
  const before = { status: 'retrying', retryCount: 1, isDue: false }

  test.each<[string, (form: Record<string, string>) => Record<string, string>]>([
    ['without a key', ({ key: _key, ...form }) => form],
    ['with the key of no message', (form) => ({ ...form, key: 'x' })],
    ['without the status it was opened for', ({ status: _status, ...form }) => form],
    ['with an unknown status', (form) => ({ ...form, status: 'constructor' })],
    ['with a retry count that is not a number', (form) => ({ ...form, retryCount: '1e3' })],
    ['with a force that is neither true nor false', (form) => ({ ...form, force: 'yes' })],
    ['with an object for a field, as some body parsers make of brackets', (form) => brackets(form, 'status')],
    ['without any field', () => ({})],
  ])('is refused: %s', async (_what, change) => {
    const form = change(await open('retry'))
    expect((await post(web, `/messages/${id}/retry`, form)).status).toBe(403)
    expect(await stateOf()).toEqual(before)
  })

  const brackets = (form: Record<string, string>, name: string): Record<string, string> =>
    Object.fromEntries(Object.entries(form).map(([key, value]) => [key === name ? `${key}[x]` : key, value]))

  test('is refused: opened for another message that had the same id', async () => {
    const form = await open('retry')
    await database.query(
      `update sms_usage_logs set sms_metadata = jsonb_set(sms_metadata, '{callback_key}', '"AAAAAAAAAAAAAAAA"') where id = $1`,
      [id],
    )
    expect((await post(web, `/messages/${id}/retry`, form)).status).toBe(403)
    expect(await stateOf()).toEqual(before)
  })

  test('without credentials', async () => {
    const form = await open('cancel')
    expect((await post(web, `/messages/${id}/cancel`, form, { Authorization: '' })).status).toBe(401)
    expect(await stateOf()).toEqual(before)
  })

  test('larger than any form', async () => {
    const form = { ...(await open('cancel')), more: 'x'.repeat(5_000) }
    expect((await post(web, `/messages/${id}/cancel`, form)).status).toBe(413)
    expect(await stateOf()).toEqual(before)
  })

  test('by GET, nothing is done', async () => {
    const form = new URLSearchParams(await open('cancel'))
    await get(web, `/messages/${id}/cancel?${form}`)
    expect(await stateOf()).toEqual(before)
  })
})
