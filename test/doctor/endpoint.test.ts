// The checks of `doctor` for PUBLIC_BASE_URL: our endpoint with other settings than doctor's, and other servers.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import express from 'express'
import pg from 'pg'
import type { NamedFinding } from '../../src/doctor/doctor.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { createStatusCallbackRouter } from '../../src/http/app.ts'
import { startWeb } from '../../src/http/web.ts'
import { postTogether, statusPath, undelivered } from '../http/endpoint.ts'
import { createTestDatabase } from '../support/database.ts'
import { type Answering, answerWith, startFakeTwilio } from '../support/fake-twilio.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'
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

/** Starts another web process of ours with these settings. */
async function startOwn(env: Record<string, string>): Promise<string> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const all = { ...world.env, PUBLIC_BASE_URL: url, PORT: `${port}`, ...env }
  const web = await startWeb(openRuntime({ logger: silentLogger }, all, ['DATABASE_URL']))
  closing.push(() => web.stop())
  return url
}

/** Posts more callbacks than the endpoint lets wait, again and again, until the returned function is called. */
function flood(url: string): () => Promise<unknown> {
  const target = {
    port: Number(new URL(url).port),
    publicBaseUrl: url,
    authToken: world.env['TWILIO_AUTH_TOKEN'] ?? '',
  }
  const request = {
    path: statusPath(1),
    fields: undelivered(world.env['TWILIO_ACCOUNT_SID'] ?? '', `SM${'1'.repeat(32)}`),
  }
  const requests = Array<typeof request>(100).fill(request)
  let isStopped = false
  const posting = Array.from({ length: 30 }, async () => {
    while (!isStopped) await postTogether(target, requests)
  })
  return () => {
    isStopped = true
    return Promise.all(posting)
  }
}

test('a working endpoint passes, and the callbacks of doctor change no row', async () => {
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
  // Proves that the callback was looked up in the table.
  expect(world.log.map(({ message }) => message)).toContain('Status callback for an unknown message')
})

describe('our endpoint is reported', () => {
  const signatureOf = async (env: Record<string, string>): Promise<NamedFinding[]> => {
    const found = await examine({ ...world.env, ...env })
    expect(of(found, 'endpoint')[0]?.result).toBe('ok')
    return of(found, 'signature')
  }

  test('if it has another token', async () => {
    const url = await startOwn({ TWILIO_AUTH_TOKEN: OLD_TOKEN })
    const [finding] = await signatureOf({ PUBLIC_BASE_URL: url })
    expect(finding).toMatchObject({
      result: 'failed',
      what: expect.stringMatching(
        /rejects the signature: TWILIO_AUTH_TOKEN or PUBLIC_BASE_URL differs there/,
      ),
      fix: expect.stringContaining('the same TWILIO_AUTH_TOKEN and PUBLIC_BASE_URL'),
    })
  })

  test('if it lacks one of two tokens', async () => {
    const both = { TWILIO_AUTH_TOKEN: `${world.env['TWILIO_AUTH_TOKEN']},${OLD_TOKEN}` }
    const one = await signatureOf(both)
    expect(one.map(({ result }) => result)).toEqual(['ok', 'failed'])
    expect(one[1]?.what).toContain('Token 2 of TWILIO_AUTH_TOKEN')
    const url = await startOwn(both)
    const two = await signatureOf({ ...both, PUBLIC_BASE_URL: url })
    expect(two.map(({ result }) => result)).toEqual(['ok', 'ok'])
  })

  test('if it has another PUBLIC_BASE_URL', async () => {
    const url = (world.env['PUBLIC_BASE_URL'] ?? '').replace('127.0.0.1', 'localhost')
    expect(await signatureOf({ PUBLIC_BASE_URL: url })).toMatchObject([{ result: 'failed' }])
  })

  test('if it belongs to another account', async () => {
    const url = await startOwn({ TWILIO_ACCOUNT_SID: `AC${'9'.repeat(32)}` })
    expect(await signatureOf({ PUBLIC_BASE_URL: url })).toMatchObject([
      { result: 'failed', fix: expect.stringContaining('TWILIO_ACCOUNT_SID') },
    ])
  })

  test('if its database is unreachable', async () => {
    const url = await startOwn({ DATABASE_URL: `postgres://app@127.0.0.1:${CLOSED_PORT}/app` })
    expect(await signatureOf({ PUBLIC_BASE_URL: url })).toMatchObject([
      {
        result: 'failed',
        what: 'The endpoint cannot write to its database',
        fix: expect.stringContaining('/readyz'),
      },
    ])
  })

  test('if it is overloaded, as a warning: its database may well be writable', async () => {
    const database = await createTestDatabase()
    const url = await startOwn({ DATABASE_URL: database.url })
    const app = new pg.Client({ connectionString: database.url })
    await app.connect()
    await app.query('begin; lock table sms_usage_logs in access exclusive mode')
    const stopFlood = flood(url)
    try {
      const finding = await waitFor('the overload', async () => {
        const found = of(await examine({ ...world.env, PUBLIC_BASE_URL: url }, 30_000), 'signature')
        return found.find(({ what }) => what.includes('overloaded'))
      })
      expect(finding).toMatchObject({
        result: 'warning',
        what: expect.stringContaining('accepts the signature'),
        fix: expect.stringContaining('locks on sms_usage_logs'),
      })
    } finally {
      await app.query('rollback')
      await stopFlood()
      await app.end()
      for (const close of closing.splice(0)) await close()
      await database.drop()
    }
  })

  test('if another body parser has read the form before the router', async () => {
    const app = express().use(express.text({ type: 'application/x-www-form-urlencoded' }))
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const env = { ...world.env, PUBLIC_BASE_URL: url }
    const router = createStatusCallbackRouter(openRuntime({ logger: silentLogger }, env, ['DATABASE_URL']))
    app.use(router)
    closing.push(async () => {
      server.close()
      await router.close()
    })
    expect(of(await examine(env), 'endpoint')).toMatchObject([
      { result: 'failed', fix: expect.stringContaining('before the body parsers') },
    ])
  })
})

describe('another server is reported', () => {
  async function endpointAt(url: string, timeoutMs?: number): Promise<NamedFinding | undefined> {
    const found = await examine({ ...world.env, PUBLIC_BASE_URL: url }, timeoutMs)
    expect(named(found, 'failed')).toEqual(['endpoint'])
    expect(named(found, 'skipped')).toEqual(['signature'])
    return of(found, 'endpoint')[0]
  }

  const html = { 'Content-Type': 'text/html; charset=utf-8' }
  const page = '<!doctype html><title>Log in</title>'

  test.each<[what: string, answer: Answering, words: RegExp, fix: RegExp]>([
    [
      'an app without that path',
      answerWith(404, 'Not found'),
      /answers 404: another app answers, or the path is wrong/,
      /prefix/,
    ],
    ['an app that allows only GET', answerWith(405, ''), /answers 405/, /prefix/],
    [
      'a redirect to https',
      answerWith(302, '', { Location: 'https://www.example.com/twilio/status?message=1' }),
      /redirects to https:\/\/www\.example\.com\/twilio\/status,/,
      /the final address/,
    ],
    [
      'a basic login',
      answerWith(401, '', { 'WWW-Authenticate': 'Basic' }),
      /requires a login/,
      /Exempt \/twilio\/status/,
    ],
    ['a login page', answerWith(200, page, html), /answers 200 with a page.*requires a login/, /Exempt/],
    [
      'a server that accepts everything',
      answerWith(204, ''),
      /unsigned callback: this is not the endpoint/,
      /prefix/,
    ],
    ['a firewall', answerWith(403, page, html), /in front of the endpoint rejects/, /firewall/],
    ['a rate limit', answerWith(429, ''), /limits the request rate/, /Exempt/],
    [
      'a proxy without its backend',
      answerWith(502, page, html),
      /the proxy does not reach/,
      /Start sms-retry web/,
    ],
    [
      'a proxy that rejects forms',
      answerWith(415, ''),
      /changes the request or rejects forms/,
      /Content-Type/,
    ],
    ['a failing server', answerWith(500, ''), /answers 500/, /logs/],
    ['a breaking connection', (response) => response.destroy(), /cannot be reached/, /connection breaks/],
  ])('%s', async (_what, answer, what, fix) => {
    const other = await startFakeTwilio(answer)
    closing.push(() => other.close())
    expect(await endpointAt(other.url)).toMatchObject({
      what: expect.stringMatching(what),
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

  test('a server with an endless answer', async () => {
    const other = await startFakeTwilio((response) => {
      response.writeHead(404)
      const writing = setInterval(() => response.write('x'.repeat(1000)), 5)
      response.once('close', () => clearInterval(writing))
    })
    closing.push(() => other.close())
    expect((await endpointAt(other.url))?.what).toMatch(/answers 404/)
  })

  test.each([
    ['a closed port', async () => `http://127.0.0.1:${CLOSED_PORT}`, /ECONNREFUSED/, /Start/],
    ['an unknown host name', async () => 'http://sms.invalid', /ENOTFOUND|EAI_AGAIN/, /resolved/],
    [
      'https instead of http',
      async () => (world.env['PUBLIC_BASE_URL'] ?? '').replace('http:', 'https:'),
      /cannot be reached/,
      /does not use TLS/,
    ],
  ])('%s', async (_what, url, what, fix) => {
    expect(await endpointAt(await url())).toMatchObject({
      what: expect.stringMatching(what),
      fix: expect.stringMatching(fix),
    })
  })
})

test('credentials in PUBLIC_BASE_URL are sent as Twilio sends them, and never printed', async () => {
  const other = await startFakeTwilio(answerWith(404, ''))
  closing.push(() => other.close())
  const found = await examine({
    ...world.env,
    PUBLIC_BASE_URL: other.url.replace('http://', 'http://twilio:hunter2@'),
  })
  expect(other.posts[0]?.authorization).toBe(`Basic ${btoa('twilio:hunter2')}`)
  expect(JSON.stringify(found)).not.toContain('hunter2')
})
