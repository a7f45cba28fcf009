// Pausing and resuming sending in the dashboard, and the pages during a pause or hold.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, formOf, get, post, type Seen } from './operator.ts'

let database: TestDatabase
let web: endpoint.Endpoint
/** A message whose first attempt is due. */
let waiting: number
let failed: number

beforeAll(async () => {
  database = await createTestDatabase()
  web = await endpoint.startEndpoint(database.url, CREDENTIALS)
  const insert = `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                              final_status, sms_metadata)
                  values (7, '+12065550199', 'outbound', 5, 'Hello', $1, $2) returning id`
  const attempts = [{ number: 0, status: 'failed', error_code: 20005 }]
  const [[first], [second]] = await Promise.all([
    database.query<{ id: number }>(insert, ['pending', {}]),
    database.query<{ id: number }>(insert, ['failed', { attempts }]),
  ])
  waiting = first?.id ?? 0
  failed = second?.id ?? 0
})

afterEach(() => setState('paused_since = null, held_since = null'))

afterAll(async () => {
  expect(endpoint.personalLines(web.log)).toEqual([])
  expect(web.log.filter(({ level }) => level === 'error')).toEqual([])
  await web.stop()
  await database.drop()
})

async function setState(assignments: string): Promise<void> {
  await database.query(`update sms_retry.account_state set ${assignments}`)
}

const HOLD = `held_since = now() - interval '3 min', held_code = 20005, lifted_by = 'accepted', probes = 3,
              probe_at = now() + interval '150 s'`
const PAUSE = `paused_since = now() - interval '2 h', paused_by = 'Ann', paused_reason = 'Wrong text <b>'`

async function stateOf(): Promise<Record<string, unknown> | undefined> {
  const [row] = await database.query(
    `select paused_since is not null as "isPaused", paused_by as "by", paused_reason as "reason",
            held_since is not null as "isHeld"
       from sms_retry.account_state`,
  )
  return row
}

const WORKING = { isPaused: false, by: null, reason: null, isHeld: false }

/** The text of the banner; null if the page has none. */
function bannerOf({ text }: Seen): string | null {
  const [, content] = /<section class="note banner[^>]*>(.*?)<\/section>/s.exec(text) ?? []
  return content === undefined ? null : content.replaceAll(/<[^>]*>/g, '').replaceAll(/\s+/g, ' ')
}

const pages = (): string[] => [
  '/',
  '/error-codes',
  '/messages',
  '/messages?status=bounced',
  `/messages/${waiting}`,
  `/messages/${waiting}/cancel`,
  '/messages/2000000000',
  '/queue',
]

const open = async (action: 'pause' | 'resume'): Promise<Record<string, string>> =>
  formOf(await get(web, `/queue/${action}`))

describe('the banner', () => {
  test('is on no page while the account works', async () => {
    for (const path of pages()) expect([path, bannerOf(await get(web, path))]).toEqual([path, null])
  })

  test('is on every page during a hold, with its code, meaning, start and probes', async () => {
    await setState(HOLD)
    for (const path of [...pages(), '/queue/pause', '/queue/resume']) {
      const text = bannerOf(await get(web, path))
      expect(text).toContain('Sending is on hold: the Twilio account fails with 20005')
      expect(text).toContain('The Twilio account is not active, often because its balance is empty.')
      expect(text).toMatch(/On hold since [-\d]{10} [:\d]{8} 3 min( \d s)? ago/)
      expect(text).toMatch(/Probes made: 3; next probe: [-\d]{10} [:\d]{8} in 2 min/)
      expect(text).toContain('Messages are recorded and wait. Status callbacks are recorded as usual.')
    }
  })

  test('says that a due probe needs a due message', async () => {
    await setState(HOLD)
    await setState(`probe_at = now() - interval '1 s'`)
    expect(bannerOf(await get(web, '/'))).toContain('next probe: as soon as a message is due')
  })

  test('names the person, the start and the reason of a pause, with markup escaped', async () => {
    await setState(PAUSE)
    for (const path of pages()) {
      const page = await get(web, path)
      expect(bannerOf(page)).toContain('Sending is paused: Wrong text &lt;b&gt;')
      expect(bannerOf(page)).toMatch(/Paused by Ann at [-\d]{10} [:\d]{8} 2 h( \d s)? ago/)
      expect(page.text).toMatch(/<section class="note banner.*<a href="\/queue">Queue<\/a>/s)
    }
  })

  test('shows a hold and a pause at the same time, and that no probe is made', async () => {
    await setState(`${HOLD}, ${PAUSE}`)
    const text = bannerOf(await get(web, '/'))
    expect(text).toContain('Sending is paused: Wrong text')
    expect(text).toContain('Sending is on hold: the Twilio account fails with 20005')
    expect(text).toContain('Probes made: 3; next probe: none during the pause')
  })
})

test.each([
  ['while the account works', 'version = version', ['pause']],
  ['during a hold', HOLD, ['resume', 'pause']],
  ['during a pause', PAUSE, ['resume']],
  ['during both', `${HOLD}, ${PAUSE}`, ['resume']],
])('the queue page %s offers the actions that have an effect', async (_when, state, expected) => {
  await setState(state)
  const { text } = await get(web, '/queue')
  const offered = [...text.matchAll(/class="button" href="\/queue\/(\w+)"/g)].map(([, action]) => action)
  expect(offered).toEqual(expected)
  for (const action of ['pause', 'resume']) {
    const { status, headers } = await get(web, `/queue/${action}`)
    const answer = expected.includes(action) ? [200, null] : [303, '/queue?notice=nothing']
    expect([status, headers.get('Location')]).toEqual(answer)
  }
})

describe('the action pause', () => {
  test('asks for a reason, pauses in the name of the operator, and logs both', async () => {
    const form = { ...(await open('pause')), reason: '  Wrong text in the newsletter ' }
    expect(await stateOf()).toMatchObject({ isPaused: false })
    const { status, headers } = await post(web, '/queue/pause', form)
    expect([status, headers.get('Location')]).toEqual([303, '/queue?notice=pause'])
    const pause = { by: 'operator', reason: 'Wrong text in the newsletter' }
    expect(await stateOf()).toEqual({ ...WORKING, isPaused: true, ...pause })
    expect(web.log).toContainEqual(expect.objectContaining({ message: 'Sending was paused', fields: pause }))
    const page = await get(web, '/queue?notice=pause')
    expect(page.text).toContain('<p class="note" role="status">Sending is paused.</p>')
    expect(bannerOf(page)).toContain('Paused by operator')
  })

  test.each([
    ['no reason', '  ', null],
    ['a reason on several lines', 'Wrong\r\ntext\u202e', 'Wrong text'],
    ['the longest reason', '€'.repeat(200), '€'.repeat(200)],
  ])('accepts %s', async (_what, reason, expected) => {
    await post(web, '/queue/pause', { ...(await open('pause')), reason })
    expect(await stateOf()).toMatchObject({ isPaused: true, reason: expected })
  })

  test('keeps a hold', async () => {
    await setState(HOLD)
    await post(web, '/queue/pause', { ...(await open('pause')), reason: '' })
    expect(await stateOf()).toMatchObject({ isPaused: true, isHeld: true })
  })

  test('does not replace the pause of another person', async () => {
    const form = { ...(await open('pause')), reason: 'Second' }
    await setState(PAUSE)
    const { headers } = await post(web, '/queue/pause', form)
    expect(headers.get('Location')).toBe('/queue?notice=nothing')
    expect(await stateOf()).toMatchObject({ by: 'Ann', reason: 'Wrong text <b>' })
  })
})

describe('the action resume', () => {
  test('asks to confirm, ends pause and hold, and logs who did it', async () => {
    await setState(`${HOLD}, ${PAUSE}`)
    const form = await open('resume')
    expect(await stateOf()).toMatchObject({ isPaused: true, isHeld: true })
    const { status, headers } = await post(web, '/queue/resume', form)
    expect([status, headers.get('Location')]).toEqual([303, '/queue?notice=resume'])
    expect(await stateOf()).toEqual(WORKING)
    expect(web.log).toContainEqual(
      expect.objectContaining({ message: 'Sending was resumed', fields: { by: 'operator', reason: null } }),
    )
    expect((await get(web, '/queue?notice=resume')).text).toContain('Sending resumes.')
  })

  test('warns during a hold that the account may still fail', async () => {
    const warning = 'The account is on hold, and no probe has succeeded'
    await setState(HOLD)
    expect((await get(web, '/queue/resume')).text).toContain(warning)
    await setState(`held_since = null, ${PAUSE}`)
    expect((await get(web, '/queue/resume')).text).not.toContain(warning)
  })

  test('does not end a pause that began after its page was opened', async () => {
    await setState(HOLD)
    const form = await open('resume')
    await setState(PAUSE)
    const { headers } = await post(web, '/queue/resume', form)
    expect(headers.get('Location')).toBe('/queue?notice=nothing')
    expect(await stateOf()).toMatchObject({ isPaused: true, isHeld: true })
  })

  test('does nothing if the hold has ended', async () => {
    await setState(HOLD)
    const form = await open('resume')
    await setState('held_since = null')
    const { headers } = await post(web, '/queue/resume', form)
    expect(headers.get('Location')).toBe('/queue?notice=nothing')
  })

  test('does not end a hold that began after the page was opened', async () => {
    await setState(PAUSE)
    const form = await open('resume')
    await setState(HOLD)
    const { headers } = await post(web, '/queue/resume', form)
    expect(headers.get('Location')).toBe('/queue?notice=nothing')
    expect(await stateOf()).toMatchObject({ isPaused: true })
  })
})

describe('a form to pause or resume', () => {
  test.each<[string, Record<string, string | undefined>]>([
    ['without the pause it was opened for', { seen: undefined }],
    ['without the field of the reason', { reason: undefined }],
    ['with a reason of 201 characters', { reason: 'x'.repeat(201) }],
  ])('is refused %s', async (_what, change) => {
    const form = { ...(await open('pause')), reason: 'Why', ...change }
    const given = Object.entries(form).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    )
    expect((await post(web, '/queue/pause', Object.fromEntries(given))).status).toBe(403)
    expect(await stateOf()).toMatchObject({ isPaused: false })
  })

  test.each([
    'pause',
    'resume',
  ] as const)('to %s is refused from another site, without credentials, and if it is too large', async (action) => {
    if (action === 'resume') await setState(PAUSE)
    const form = { ...(await open(action)), reason: 'Why' }
    const before = await stateOf()
    const path = `/queue/${action}`
    expect((await post(web, path, form, { 'Sec-Fetch-Site': 'cross-site' })).status).toBe(403)
    expect((await post(web, path, form, { Authorization: '' })).status).toBe(401)
    expect((await post(web, path, { ...form, more: 'x'.repeat(5_000) })).status).toBe(413)
    expect((await get(web, `${path}?${new URLSearchParams(form)}`)).status).toBe(200)
    expect(await stateOf()).toEqual(before)
  })
})

describe('the page of a message', () => {
  test('that is due says during a hold or pause that it waits', async () => {
    const path = `/messages/${waiting}`
    expect((await get(web, path)).text).toContain('The first attempt is due: a worker makes it')
    await setState(HOLD)
    const onHold = await get(web, path)
    expect(onHold.text).toContain(
      'The first attempt waits. Sending is on hold: the Twilio account fails with 20005.',
    )
    await setState(PAUSE)
    expect((await get(web, path)).text).toContain('The first attempt waits. Sending is paused: Wrong text')
  })

  test('that is due within seconds waits as well, and offers a retry only without a hold', async () => {
    const path = `/messages/${waiting}`
    const due = (time: string): Promise<unknown> =>
      database.query(`update sms_usage_logs set next_retry_at = ${time} where id = $1`, [waiting])
    await due(`now() + interval '2 min'`)
    expect((await get(web, path)).text).toContain(`href="${path}/retry"`)
    await setState(HOLD)
    await due(`now()`)
    const { text } = await get(web, path)
    expect(text).toContain('The first attempt waits. Sending is on hold')
    expect(text).not.toContain(`href="${path}/retry"`)
    expect((await get(web, `${path}/retry`)).headers.get('Location')).toBe(`${path}?notice=nothing`)
    await due('null')
  })

  test('that failed asks to confirm a retry that is made when sending resumes', async () => {
    const path = `/messages/${failed}/retry`
    expect((await get(web, path)).text).toContain('A worker makes another attempt now.')
    await setState(HOLD)
    const page = await get(web, path)
    expect(page.text).toContain('A worker makes another attempt when sending resumes.')
    const { headers } = await post(web, path, formOf(page))
    expect(headers.get('Location')).toBe(`/messages/${failed}?notice=retry`)
    expect((await get(web, `/messages/${failed}`)).text).toContain('Retry 1 waits. Sending is on hold')
  })
})

test('a page is answered 503 if the state of the account cannot be read', async () => {
  await database.query('alter table sms_retry.account_state rename to away')
  try {
    for (const path of ['/', '/queue', '/messages/2000000000']) {
      const { status, text } = await get(web, path)
      expect([path, status]).toEqual([path, 503])
      expect(text).toContain('Database unavailable')
    }
    expect((await get(web, '/assets/dashboard.css')).status).toBe(200)
  } finally {
    await database.query('alter table sms_retry.away rename to account_state')
  }
})
