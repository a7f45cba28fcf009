// The dashboard's bulk actions: the page counts, the form acts on a bounded number of messages, and the next page goes on.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, get, post, type Seen, unescapeHtml } from './operator.ts'

let database: TestDatabase
let web: endpoint.Endpoint

beforeAll(async () => {
  database = await createTestDatabase()
  web = await endpoint.startEndpoint(database.url, CREDENTIALS)
})
afterEach(async () => {
  await database.query('truncate sms_usage_logs')
  await database.query('delete from sms_retry_pgboss.job')
})
afterAll(async () => {
  expect(endpoint.personalLines(web.log)).toEqual([])
  await web.stop()
  await database.drop()
})

async function insert(many: number, { status = 'undelivered', code = 30003, user = 1 } = {}): Promise<void> {
  await database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                                 final_status, success, twilio_message_sid, sms_metadata)
     select $4, '${endpoint.TO}', 'outbound', 5, 'Hello', now() at time zone 'UTC' - interval '1 h', $2::text, $2 = 'delivered',
            'SM' || md5(random()::text), jsonb_build_object('campaign', 'spring', 'attempts', jsonb_build_array(jsonb_build_object(
              'number', 0, 'status', $2::text, 'error_code', case when $2 <> 'delivered' then $3::integer end)))
       from generate_series(1, $1::integer)`,
    [many, status, code, user],
  )
}

async function count(status: string): Promise<number> {
  return (await database.query('select from sms_usage_logs where final_status = $1', [status])).length
}

/** The path to which the form of the page is sent; null without a form. */
function formActionOf({ text }: Seen): string | null {
  const [, action] = /<form method="post" action="([^"]+)">/.exec(text) ?? []
  return action === undefined ? null : unescapeHtml(action)
}

async function submit(page: Seen, headers: Record<string, string> = {}): Promise<Seen> {
  const answer = await post(web, formActionOf(page) ?? '', {}, headers)
  return answer.status === 303 ? get(web, answer.headers.get('Location') ?? '') : answer
}

describe('the messages page', () => {
  test('offers bulk actions only with a filter that matches', async () => {
    await insert(1)
    expect((await get(web, '/messages')).text).not.toContain('/messages/bulk/')
    expect((await get(web, '/messages?user=5')).text).not.toContain('/messages/bulk/')
    const { text } = await get(web, '/messages?code=30003&metadata=campaign%3Dspring')
    for (const kind of ['retry', 'cancel'])
      expect(unescapeHtml(text)).toContain(`/messages/bulk/${kind}?code=30003&metadata=campaign%3Dspring`)
  })
})

describe('a bulk retry', () => {
  test('shows the counts and changes nothing, then retries what matched, and names the operator', async () => {
    await insert(12)
    await insert(3, { status: 'delivered' })
    await insert(2, { code: 21610 })
    const page = await get(web, '/messages/bulk/retry?metadata=campaign%3Dspring&since=7d')
    expect(page.status).toBe(200)
    expect(page.text).toContain('17 messages match. 12 would be retried.')
    expect(page.text).toContain('<li>3: it is already delivered</li>')
    expect(page.text).toMatch(/<li>2: the policy never retries 21610/)
    expect(page.text).toContain('campaign=spring')
    expect(await count('retrying')).toBe(0)
    const done = await submit(page)
    expect(done.text).toContain('12 of 17 messages retried.')
    expect(done.text).toContain('All messages that matched are done.')
    expect(formActionOf(done)).toBeNull()
    const [row] = await database.query(
      `select count(*)::integer as "many" from sms_usage_logs
        where final_status = 'retrying' and error_message = 'A retry was requested manually by operator'`,
    )
    expect(row).toEqual({ many: 12 })
    expect(web.log.filter(({ message }) => message === 'Bulk action').at(-1)?.fields).toMatchObject({
      ...{ action: 'retry', by: 'operator', matched: 17, changed: 12 },
    })
  })

  test('handles 1,000 messages per click, and goes on with the rest', async () => {
    await insert(1_030)
    const page = await get(web, '/messages/bulk/retry?code=30003')
    expect(page.text).toContain('1,030 messages match')
    expect(page.text).toContain('Each click handles up to 1,000 messages')
    // Added after the page was opened.
    await insert(5)
    const first = await submit(page)
    expect(first.text).toContain('1,000 of 1,000 messages retried.')
    expect(first.text).toContain('30 more messages match. 30 would be retried.')
    expect(await count('retrying')).toBe(1_000)
    const second = await submit(first)
    expect(second.text).toContain('1,030 of 1,030 messages retried.')
    expect(await count('retrying')).toBe(1_030)
    expect(await count('undelivered')).toBe(5)
  })

  test('counts a single message in the singular', async () => {
    await insert(1)
    const { text } = await get(web, '/messages/bulk/retry?code=30003')
    expect(text).toContain('<p>1 message matches. 1 would be retried.</p>')
  })

  test('submitted several times retries each message once', async () => {
    await insert(120)
    const page = await get(web, '/messages/bulk/retry?code=30003')
    await Promise.all([submit(page), submit(page), submit(page)])
    expect(await count('retrying')).toBe(120)
    const jobs = await endpoint.jobs(database)
    expect(new Set(jobs.map(({ data }) => data.message)).size).toBe(120)
    expect(jobs.every(({ data }) => data.attempt === 1)).toBe(true)
  })
})

test('a bulk cancel cancels the messages that wait', async () => {
  await insert(4)
  await submit(await get(web, '/messages/bulk/retry?code=30003'))
  const done = await submit(await get(web, '/messages/bulk/cancel?status=retrying'))
  expect(done.text).toContain('4 of 4 messages canceled.')
  expect(await count('canceled')).toBe(4)
})

describe('a bulk action that is refused', () => {
  test.each([
    ['without a filter', '/messages/bulk/retry'],
    ['with only a page position', '/messages/bulk/cancel?after=2026-07-01+12:00:00&after-id=1'],
    ['with an invalid filter', '/messages/bulk/retry?code=x'],
  ])('%s is answered 400', async (_what, path) => {
    await insert(1)
    expect((await get(web, path)).status).toBe(400)
    expect((await post(web, path, {})).status).toBe(400)
    expect(await count('undelivered')).toBe(1)
  })

  test.each<[string, Record<string, string>, number]>([
    ['from another site', { 'Sec-Fetch-Site': 'cross-site' }, 403],
    ['without credentials', { Authorization: '' }, 401],
  ])('%s changes nothing', async (_what, headers, status) => {
    await insert(2)
    const page = await get(web, '/messages/bulk/retry?code=30003')
    expect((await submit(page, headers)).status).toBe(status)
    expect(await count('undelivered')).toBe(2)
  })

  test.each([
    ['begins in the future', '&as-of=9999-01-01T00:00:00.000Z&max-id=1000'],
    [
      'claims more retries than messages',
      '&as-of=2026-01-01T00:00:00.000Z&max-id=1000&matched=1&changed=99999999',
    ],
  ])('because its link %s is answered 400: its retries would be due in the far future', async (_what, query) => {
    await insert(2)
    const path = `/messages/bulk/retry?code=30003${query}`
    expect((await get(web, path)).status).toBe(400)
    expect((await post(web, path, {})).status).toBe(400)
    expect(await count('undelivered')).toBe(2)
  })

  test('if its page was not opened before, or is done, changes nothing', async () => {
    await insert(2)
    expect((await post(web, '/messages/bulk/retry?code=30003', {})).status).toBe(403)
    const path = formActionOf(await get(web, '/messages/bulk/retry?code=30003')) ?? ''
    expect((await post(web, `${path}&done=true`, {})).status).toBe(403)
    expect(await count('undelivered')).toBe(2)
  })
})
