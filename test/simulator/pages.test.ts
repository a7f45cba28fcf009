// The two pages, and the inspection as JSON.
import { get } from 'node:http'
import { text as readText } from 'node:stream/consumers'
import { describe, expect, test } from '@jest/globals'
import type { Simulator } from '../../src/simulator/simulator.ts'
import { FROM, postForm, receive, simulate, TO } from './with-simulator.ts'

async function page(simulator: Simulator, path: string) {
  const response = await fetch(simulator.url + path)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

describe('the first page', () => {
  test('explains purpose, limits, number scheme, chaos and storage', async () => {
    const { simulator } = await simulate({ chaos: { hang: 0.25 }, seed: 99, maxKept: 1234 })
    const { status, text } = await page(simulator, '/')
    expect(status).toBe(200)
    for (const words of [
      'Twilio simulator',
      'What it does not simulate',
      '+1555CCCCCNN',
      '+15553000301',
      '<code>hang</code></td><td>0.25</td>',
      'seed 99',
      'newest 1,234 messages',
      `TWILIO_API_BASE_URL=${simulator.url}`,
      simulator.authToken,
    ]) {
      expect(text).toContain(words)
    }
  })

  test('does not show a configured auth token', async () => {
    const { simulator } = await simulate({ authToken: 'perhaps-a-real-one' })
    expect((await page(simulator, '/')).text).not.toContain('perhaps-a-real-one')
  })

  test('escapes the Host header', async () => {
    const { simulator } = await simulate()
    const text = await new Promise<string>((resolve, reject) => {
      const headers = { Host: 'x"><script>alert(1)</script>' }
      get(simulator.url, { headers }, async (response) => resolve(await readText(response))).on(
        'error',
        reject,
      )
    })
    expect(text).toContain('TWILIO_API_BASE_URL=http://x&quot;&gt;&lt;script&gt;')
    expect(text).not.toContain('<script>')
  })
})

describe('the inbox', () => {
  test('escapes texts', async () => {
    const { simulator } = await simulate()
    const Body = `<script>alert("1")</script> & 'more'`
    await postForm(simulator, { To: '+15553000301', From: FROM, Body })
    await simulator.idle()
    const { text } = await page(simulator, '/inbox')
    expect(text).not.toContain('<script>')
    expect(text).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;more&#39;')
    expect(text).toContain('undelivered 30003')
  })

  test('shows the last 100 messages, newest first, with their status', async () => {
    const { simulator } = await simulate()
    for (let index = 0; index < 99; index += 1) {
      await postForm(simulator, { To: TO, From: FROM, Body: `text number ${index}` })
    }
    await postForm(simulator, { To: '+15552161001', From: FROM, Body: 'to someone who said STOP' })
    simulator.setChaos({ rateLimit: 1 })
    await postForm(simulator, { To: TO, From: FROM, Body: 'too fast' })
    await simulator.idle()
    const { text } = await page(simulator, '/inbox')
    expect(text.match(/<li>/g)).toHaveLength(100)
    expect(text).not.toContain('text number 0<')
    expect(text.indexOf('text number 98<')).toBeLessThan(text.indexOf('text number 97<'))
    for (const words of ['delivered', 'refused 21610', 'not processed: 429 by chaos'])
      expect(text).toContain(words)
  })

  test('makes the browser reload the page', async () => {
    const { simulator } = await simulate()
    const { text } = await page(simulator, '/inbox')
    expect(text).toContain('<meta http-equiv="refresh" content="2">')
    expect(text).toContain('No messages yet.')
  })
})

test.each(['/', '/inbox'])('%s allows no scripts, and its style by hash', async (path) => {
  const { simulator } = await simulate()
  const { headers, text } = await page(simulator, path)
  const policy = headers.get('content-security-policy') ?? ''
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; /)
  expect(policy).not.toContain('unsafe')
  const style = /<style>([\s\S]*)<\/style>/.exec(text)?.[1] ?? ''
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style))
  expect(policy).toContain(`'sha256-${Buffer.from(digest).toString('base64')}'`)
  expect(text).toContain('prefers-color-scheme: dark')
  expect(text).toContain('name="viewport"')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('x-powered-by')).toBeNull()
})

describe('inspection', () => {
  test('lists every valid POST, newest last', async () => {
    const { simulator } = await simulate()
    const StatusCallback = 'http://127.0.0.1:9/?message=5&attempt=1'
    await postForm(simulator, { To: TO, From: FROM, Body: 'first', StatusCallback, ValidityPeriod: '60' })
    await postForm(simulator, { To: '+15552161001', From: FROM, Body: 'second' })
    await simulator.idle()
    const body = JSON.parse((await page(simulator, '/simulator/messages')).text)
    expect(body.messages).toEqual(simulator.messages())
    expect(body).toMatchObject({
      messages: [
        {
          to: TO,
          body: 'first',
          status: 'delivered',
          status_callback: StatusCallback,
          message: '5',
          attempt: 1,
          validity_period: 60,
          created_at_ms: expect.any(Number),
          answer: 'accepted',
        },
        { body: 'second', status: 'failed', error_code: 21610, answer: 'refused', status_callback: null },
      ],
      double_submissions: [],
    })
  })

  test('lists every callback with its answer, newest last', async () => {
    const receiver = await receive()
    const { simulator } = await simulate({ callbackDelayMs: 20 })
    await postForm(simulator, { To: TO, From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    await simulator.idle()
    const { callbacks } = JSON.parse((await page(simulator, '/simulator/callbacks')).text)
    expect(callbacks).toEqual(simulator.callbacks())
    expect(callbacks).toMatchObject([
      { answer_status: 204, fields: { MessageStatus: 'sent' } },
      { answer_status: 204, fields: { MessageStatus: 'delivered' } },
    ])
  })

  test('keeps the newest of both, up to maxKept, and counts all', async () => {
    const receiver = await receive()
    const { simulator, client } = await simulate({ maxKept: 3 })
    for (const Body of ['a', 'b', 'c', 'd', 'e']) {
      await postForm(simulator, { To: '+15553000101', From: FROM, Body, StatusCallback: receiver.url })
      await simulator.idle()
    }
    expect(simulator.messages().map(({ body }) => body)).toEqual(['c', 'd', 'e'])
    expect(simulator.callbacks().map(({ message_sid }) => message_sid)).toEqual(
      simulator.messages().map(({ sid }) => sid),
    )
    expect(await client.messages.list()).toHaveLength(3)
    expect(simulator.submissionCounts().accepted).toBe(5)
  })
})
