// What `doctor` says of PUBLIC_BASE_URL: our own endpoint with other settings than doctor's, and whatever else may stand
// there instead.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import type { NamedFinding } from '../../src/doctor/doctor.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { startWeb } from '../../src/http/web.ts'
import { type Answering, answerWith, startFakeTwilio } from '../support/fake-twilio.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { startWorld, type World } from '../support/world.ts'
import { examine, named, of } from './examine.ts'

const OLD_TOKEN = '0123456789abcdef'.repeat(2)

let world: World
const closing: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  world = await startWorld()
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})
afterAll(() => world.stop())

/** One more web process of ours, with these settings. */
async function startOwn(env: Record<string, string>): Promise<string> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const all = { ...world.env, PUBLIC_BASE_URL: url, PORT: `${port}`, ...env }
  const web = await startWeb(openRuntime({ logger: silentLogger }, all, ['DATABASE_URL']))
  closing.push(() => web.stop())
  return url
}

test('the endpoint is found, with the token; the callbacks change no row', async () => {
  await world.sender.send({ userId: 7, to: '+12065550199', body: 'Hello' })
  await world.simulator.idle()
  const rows = (): Promise<object[]> => world.database.query('select * from sms_usage_logs order by id')
  const before = await rows()
  world.log.splice(0)
  const found = await examine(world.env)
  expect(named(found, 'failed')).toEqual([])
  expect(of(found, 'endpoint')[0]?.result).toBe('ok')
  expect(of(found, 'signature').map(({ result }) => result)).toEqual(['ok'])
  expect(await rows()).toEqual(before)
  // Without this, the callback would not have come as far as the table.
  expect(world.log.map(({ message }) => message)).toContain('Status callback for an unknown message')
})

describe('an endpoint of ours with other settings', () => {
  const signatureOf = async (env: Record<string, string>): Promise<NamedFinding[]> => {
    const found = await examine({ ...world.env, ...env })
    expect(of(found, 'endpoint')[0]?.result).toBe('ok')
    return of(found, 'signature')
  }

  test('another token', async () => {
    const url = await startOwn({ TWILIO_AUTH_TOKEN: OLD_TOKEN })
    const [finding] = await signatureOf({ PUBLIC_BASE_URL: url })
    expect(finding).toMatchObject({
      result: 'failed',
      what: expect.stringMatching(/TWILIO_AUTH_TOKEN or PUBLIC_BASE_URL differs there/),
      fix: expect.stringContaining('the same TWILIO_AUTH_TOKEN and PUBLIC_BASE_URL'),
    })
  })

  test('of two tokens it has to know each', async () => {
    const both = { TWILIO_AUTH_TOKEN: `${world.env['TWILIO_AUTH_TOKEN']},${OLD_TOKEN}` }
    const one = await signatureOf(both)
    expect(one.map(({ result }) => result)).toEqual(['ok', 'failed'])
    expect(one[1]?.what).toContain('Token 2 of TWILIO_AUTH_TOKEN')
    const url = await startOwn(both)
    const two = await signatureOf({ ...both, PUBLIC_BASE_URL: url })
    expect(two.map(({ result }) => result)).toEqual(['ok', 'ok'])
  })

  test('another base URL: the same process by another name', async () => {
    const url = (world.env['PUBLIC_BASE_URL'] ?? '').replace('127.0.0.1', 'localhost')
    expect(await signatureOf({ PUBLIC_BASE_URL: url })).toMatchObject([{ result: 'failed' }])
  })

  test('another account', async () => {
    const url = await startOwn({ TWILIO_ACCOUNT_SID: `AC${'9'.repeat(32)}` })
    expect(await signatureOf({ PUBLIC_BASE_URL: url })).toMatchObject([
      { result: 'failed', fix: expect.stringContaining('TWILIO_ACCOUNT_SID') },
    ])
  })

  test('a database that is away', async () => {
    const url = await startOwn({ DATABASE_URL: `postgres://app@127.0.0.1:${await freePort()}/app` })
    expect(await signatureOf({ PUBLIC_BASE_URL: url })).toMatchObject([
      {
        result: 'failed',
        what: expect.stringContaining('database'),
        fix: expect.stringContaining('/readyz'),
      },
    ])
  })
})

describe('something else than our endpoint', () => {
  async function endpointAt(url: string, timeoutMs?: number): Promise<NamedFinding | undefined> {
    const found = await examine({ ...world.env, PUBLIC_BASE_URL: url }, timeoutMs)
    expect(named(found, 'failed')).toEqual(['endpoint'])
    expect(named(found, 'skipped')).toEqual(['signature'])
    return of(found, 'endpoint')[0]
  }

  const html = { 'Content-Type': 'text/html; charset=utf-8' }
  const page = '<!doctype html><title>Log in</title>'

  test.each<[what: string, answer: Answering, words: RegExp, fix: RegExp]>([
    ['nothing at that path', answerWith(404, 'Not found'), /answers 404.*another path/, /prefix/],
    ['only GET', answerWith(405, ''), /answers 405/, /prefix/],
    [
      'a redirect to https',
      answerWith(302, '', { Location: 'https://www.example.com/twilio/status?message=1' }),
      /redirects to https:\/\/www\.example\.com\/twilio\/status;/,
      /the address that answers itself/,
    ],
    ['a password', answerWith(401, '', { 'WWW-Authenticate': 'Basic' }), /log in/, /Exempt \/twilio\/status/],
    ['a page to log in', answerWith(200, page, html), /answers 200 with a page.*log in/, /Exempt/],
    ['whoever takes anything', answerWith(204, ''), /not signed: this is not the endpoint/, /prefix/],
    ['a firewall', answerWith(403, page, html), /in front of the endpoint refuses/, /firewall/],
    ['a limit', answerWith(429, ''), /limits requests/, /Exempt/],
    ['a proxy alone', answerWith(502, page, html), /the proxy does not reach/, /Start sms-retry web/],
    ['a body that is refused', answerWith(415, ''), /changes the request/, /Content-Type/],
    ['a server that fails', answerWith(500, ''), /answers 500/, /logs/],
    ['a connection that breaks', (response) => response.destroy(), /cannot be reached/, /connection breaks/],
  ])('%s', async (_what, answer, words, fix) => {
    const other = await startFakeTwilio(answer)
    closing.push(() => other.close())
    expect(await endpointAt(other.url)).toMatchObject({
      what: expect.stringMatching(words),
      fix: expect.stringMatching(fix),
    })
    expect(other.posts).toHaveLength(1)
  })

  test('a server that does not answer', async () => {
    const other = await startFakeTwilio(() => undefined)
    closing.push(() => other.close())
    expect(await endpointAt(other.url, 200)).toMatchObject({
      what: expect.stringContaining('in time'),
      fix: expect.stringContaining('firewall'),
    })
  })

  test('an answer without an end', async () => {
    const other = await startFakeTwilio((response) => {
      response.writeHead(404)
      const writing = setInterval(() => response.write('x'.repeat(1000)), 5)
      response.once('close', () => clearInterval(writing))
    })
    closing.push(() => other.close())
    expect((await endpointAt(other.url))?.what).toMatch(/answers 404/)
  })

  test.each([
    ['a port that is closed', async () => `http://127.0.0.1:${await freePort()}`, /ECONNREFUSED/, /Start/],
    ['a name that there is not', async () => 'http://sms.invalid', /ENOTFOUND|EAI_AGAIN/, /resolved/],
    [
      'https where there is http',
      async () => (world.env['PUBLIC_BASE_URL'] ?? '').replace('http:', 'https:'),
      /cannot be reached/,
      /No TLS there/,
    ],
  ])('%s', async (_what, url, words, fix) => {
    expect(await endpointAt(await url())).toMatchObject({
      what: expect.stringMatching(words),
      fix: expect.stringMatching(fix),
    })
  })
})

test('credentials in PUBLIC_BASE_URL are used as Twilio uses them, and shown to nobody', async () => {
  const other = await startFakeTwilio(answerWith(404, ''))
  closing.push(() => other.close())
  const found = await examine({
    ...world.env,
    PUBLIC_BASE_URL: other.url.replace('http://', 'http://twilio:hunter2@'),
  })
  expect(other.posts[0]?.authorization).toBe(`Basic ${btoa('twilio:hunter2')}`)
  expect(JSON.stringify(found)).not.toContain('hunter2')
})
