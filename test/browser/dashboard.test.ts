// The dashboard in a real browser, with messages that the simulator handled.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { networkInterfaces } from 'node:os'
import { startEndpoint } from '../http/endpoint.ts'
import { CREDENTIALS } from '../http/dashboard/operator.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'
import { chromiumPath, launchBrowser } from './browser.ts'

if (chromiumPath === null) {
  process.stderr.write('Browser tests are skipped: Chromium is not installed (apt-get install chromium).\n')
}
const describeInBrowser = chromiumPath === null ? describe.skip : describe

const SCRIPT = '<script>document.title = "taken over"</script><b>bold</b>'
const httpCredentials = { username: CREDENTIALS.DASHBOARD_USERNAME, password: CREDENTIALS.DASHBOARD_PASSWORD }

describeInBrowser('the dashboard in a browser', () => {
  let world: World
  let browser: Browser
  let page: Page
  let complaints: string[]

  beforeAll(async () => {
    world = await startWorld({ env: { ...CREDENTIALS, DASHBOARD_SHOW_CONTENT: 'true' } })
    await world.startWorker()
    // Delivered by the first attempt, recovered by a retry, and failed permanently.
    for (const to of ['+12065550100', '+12065550101', '+15553000301', '+15553000699', '+15552161099']) {
      await world.sender.send({
        userId: 7,
        to,
        body: to.endsWith('0100') ? SCRIPT : 'Your order has shipped',
      })
    }
    await waitFor('all messages to be final', async () => {
      const [row] = await world.database.query<{ open: number }>(
        `select count(*)::int as "open" from sms_usage_logs where final_status not in ('delivered', 'undelivered', 'failed')`,
      )
      return row?.open === 0
    })
    browser = await launchBrowser()
  })

  afterAll(async () => {
    await browser.close()
    await world.stop()
  })

  const openPage = async (options: BrowserContextOptions = {}): Promise<void> => {
    const context = await browser.newContext({ httpCredentials, baseURL: world.web.url, ...options })
    page = await context.newPage()
    complaints = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
  }

  beforeEach(() => openPage())

  // No violation of the security policy, no missing file, no error.
  afterEach(async () => {
    await page.context().close()
    expect(complaints).toEqual([])
  })

  /** A failed message whose retry is due in an hour. Without a job, no worker makes it. */
  async function addWaiting(): Promise<number> {
    const [row] = await world.database.query<{ id: number }>(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, success,
                                   final_status, retry_count, next_retry_at, twilio_message_sid, sms_metadata)
       values (7, '+12065550177', 'outbound', 5, 'Hello', false, 'retrying', 1, now() + interval '1 h',
               'SM' || md5(random()::text), '{"attempts": [
                 {"number": 0, "status": "undelivered", "error_code": 30003,
                  "times": {"submitting": "2026-07-01T12:00:00.000Z", "undelivered": "2026-07-01T12:00:10.000Z"}},
                 {"number": 1, "status": "pending", "times": {"pending": "2026-07-01T12:00:10.000Z"}}]}')
       returning id`,
    )
    return row?.id ?? 0
  }

  const figure = (key: string): Promise<string> =>
    page.locator(`[data-figure="${key}"] dd`).first().innerText()

  test('the overview shows figures, targets and a chart', async () => {
    await page.goto('/?span=1h')
    expect(await figure('messages')).toBe('5')
    expect(await figure('delivered')).toBe('3')
    expect(await figure('recovered')).toBe('1')
    expect(await figure('failed')).toBe('2')
    expect(await page.locator('[data-target="delivered"] .value').innerText()).toBe('60.0 %')
    expect(await page.locator('[data-target="delivered"] .badge').innerText()).toBe('missed')
    const bars = page.locator('svg.trend:visible path.volume')
    expect(await bars.count()).toBe(1)
    expect((await bars.boundingBox())?.height).toBeGreaterThan(40)
  })

  test('the figures are refreshed without a reload', async () => {
    await page.goto('/?span=1h')
    await page.evaluate('window.notReloaded = true')
    const before = Number(await figure('messages'))
    await world.sender.send({ userId: 7, to: '+12065550102', body: 'One more' })
    await waitFor('the new figure', async () => Number(await figure('messages')) === before + 1)
    expect(await page.evaluate('window.notReloaded')).toBe(true)
    expect(await page.locator('#refreshed').innerText()).toContain('Refreshed at')
    expect(await page.locator('svg.trend:visible').count()).toBe(1)
  })

  test('links lead from an error code to its messages and to their attempts', async () => {
    await page.goto('/error-codes?span=1h')
    await page.locator('tr[data-code="30003"] a').click()
    await page.locator('table.messages tbody a').first().click()
    const attempts = page.locator('.timeline > li')
    expect(await attempts.count()).toBe(2)
    expect(await attempts.first().innerText()).toMatch(
      /First attempt undelivered[\s\S]*30003 The handset was unreachable/,
    )
    expect(await attempts.last().innerText()).toMatch(/Retry 1 delivered[\s\S]*submitted/)
  })

  test('the filter finds a message and keeps the entered values', async () => {
    await page.goto('/messages')
    await page.getByLabel('Status').selectOption('failed')
    await page.getByLabel('Number ends with').fill('61099')
    await page.getByRole('button', { name: 'Filter' }).click()
    expect(await page.locator('table.messages tbody tr').count()).toBe(1)
    expect(await page.getByLabel('Status').inputValue()).toBe('failed')
    expect(await page.getByLabel('Number ends with').inputValue()).toBe('61099')
    await page.getByRole('link', { name: 'Clear' }).click()
    expect(await page.locator('table.messages tbody tr').count()).toBeGreaterThan(4)
  })

  test('a message is found by its id', async () => {
    await page.goto('/messages')
    await page.getByLabel('Message ID or Twilio SID').fill('2')
    await page.getByRole('button', { name: 'Open' }).click()
    expect(await page.locator('h1').innerText()).toBe('Message 2')
  })

  test('retry now, confirmed by a double click, delivers the message once', async () => {
    const id = await addWaiting()
    await page.goto(`/messages/${id}`)
    await page.getByRole('link', { name: 'Retry now' }).click()
    await page.getByRole('button', { name: 'Retry now' }).dblclick()
    // Not the URL: the second click aborts the navigation of the first one, at which waitForURL would fail.
    await page.locator('p.note[role=status]').waitFor()
    await waitFor('it to be delivered', async () => {
      await page.goto(`/messages/${id}`)
      return (await page.locator('.facts .badge').first().innerText()) === 'delivered'
    })
    expect(await page.locator('.timeline > li').count()).toBe(2)
    expect(await page.getByRole('link', { name: 'Retry now' }).count()).toBe(0)
    expect(world.simulator.doubleSubmissions()).toEqual([])
  })

  test('cancel can be left by Back, and cancels once confirmed', async () => {
    const id = await addWaiting()
    await page.goto(`/messages/${id}`)
    await page.getByRole('link', { name: 'Cancel' }).click()
    await page.getByRole('link', { name: 'Back' }).click()
    expect(await page.locator('.facts .badge').first().innerText()).toBe('retrying')
    await page.getByRole('link', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Cancel the message' }).click()
    expect(await page.locator('[role=status]').first().innerText()).toBe('The message is canceled.')
    expect(await page.locator('.facts .badge').first().innerText()).toBe('canceled')
  })

  test('cancel works over plain http in the local network, where the browser sends no Sec-Fetch-Site', async () => {
    const lan = Object.values(networkInterfaces())
      .flat()
      .find((address) => address?.family === 'IPv4' && !address.internal)
    if (lan === undefined) throw new Error('This machine has no address but localhost')
    const web = await startEndpoint(world.database.url, { ...CREDENTIALS, HOST: '0.0.0.0' })
    try {
      await page.context().close()
      await openPage({ baseURL: `http://${lan.address}:${web.port}` })
      const id = await addWaiting()
      await page.goto(`/messages/${id}/cancel`)
      const sent = page.waitForRequest((request) => request.method() === 'POST')
      await page.getByRole('button', { name: 'Cancel the message' }).click()
      const headers = await (await sent).allHeaders()
      expect(headers['sec-fetch-site']).toBeUndefined()
      expect(headers['origin']).toBe(`http://${lan.address}:${web.port}`)
      await page.waitForURL(/notice=/)
      expect(await page.locator('.facts .badge').first().innerText()).toBe('canceled')
    } finally {
      await web.stop()
    }
    // Chromium reports two security headers that only work over https.
    complaints = complaints.filter((text) => !/Cross-Origin-Opener-Policy|Origin-Agent-Cluster/.test(text))
  })

  test('sending is paused with a reason, a banner fits a phone and follows a refresh, and sending is resumed', async () => {
    await page.goto('/queue')
    await page.getByRole('link', { name: 'Pause sending' }).click()
    await page.getByLabel('Reason').fill('Wrong text in the newsletter')
    await page.getByRole('button', { name: 'Pause sending' }).click()
    expect(await page.getByRole('status').first().innerText()).toBe('Sending is paused.')
    const banner = page.getByRole('region', { name: 'State of sending' })
    await page.setViewportSize({ width: 360, height: 740 })
    await page.goto('/?span=1h')
    expect(await banner.innerText()).toContain('Sending is paused: Wrong text in the newsletter')
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
    await banner.getByRole('link', { name: 'Queue' }).click()
    await page.getByRole('link', { name: 'Resume sending' }).click()
    await page.getByRole('button', { name: 'Resume sending' }).click()
    expect(await page.getByRole('status').first().innerText()).toBe('Sending resumes.')
    expect(await banner.count()).toBe(0)
    await world.database.query(`update sms_retry.account_state set paused_since = now(), paused_by = 'Ann'`)
    await banner.waitFor()
    await world.database.query('update sms_retry.account_state set paused_since = null')
    await banner.waitFor({ state: 'detached' })
  })

  test('a script in a message text is shown as text', async () => {
    await page.goto('/messages?number=0100')
    await page.locator('table.messages tbody a').first().click()
    expect(await page.locator('.text').innerText()).toBe(SCRIPT)
    expect(await page.locator('.text b').count()).toBe(0)
    expect(await page.title()).toBe('Message 1 · sms-retry')
  })

  test('a wrong password shows nothing', async () => {
    await page.context().close()
    await openPage({ httpCredentials: { ...httpCredentials, password: 'guess' } })
    const response = await page.goto('/')
    expect(response?.status()).toBe(401)
    expect(await page.locator('[data-figure]').count()).toBe(0)
    // The browser reports the 401 of the page and of the icon.
    await page.context().close()
    complaints = complaints.filter((text) => !text.startsWith('Failed to load resource'))
  })

  test.each([
    '/?span=1h',
    '/error-codes',
    '/messages',
    '/messages/3',
    '/queue',
  ])('%s fits the width of a phone', async (path) => {
    await page.setViewportSize({ width: 360, height: 740 })
    await page.goto(path)
    const [wide, window] = (await page.evaluate(
      '[document.documentElement.scrollWidth, innerWidth]',
    )) as number[]
    expect(wide).toBeLessThanOrEqual(window ?? 0)
  })

  test('the page follows the dark or light mode of the browser', async () => {
    const lightness = async (colorScheme: 'dark' | 'light'): Promise<number> => {
      await page.emulateMedia({ colorScheme })
      await page.goto('/')
      const colour = (await page.evaluate('getComputedStyle(document.body).backgroundColor')) as string
      const [red = 0, green = 0, blue = 0] = colour.match(/\d+/g)?.map(Number) ?? []
      return (red + green + blue) / 3
    }
    expect(await lightness('light')).toBeGreaterThan(200)
    expect(await lightness('dark')).toBeLessThan(60)
  })

  test('without JavaScript everything works, also the chart and its table', async () => {
    await page.context().close()
    await openPage({ javaScriptEnabled: false })
    await page.goto('/?span=1h')
    expect(Number(await figure('messages'))).toBeGreaterThan(4)
    expect(await page.locator('svg.trend:visible').count()).toBe(1)
    await page.locator('summary').click()
    expect(await page.locator('details tbody tr').count()).toBe(13)
    const id = await addWaiting()
    await page.goto(`/messages/${id}/cancel`)
    await page.getByRole('button', { name: 'Cancel the message' }).click()
    expect(await page.locator('.facts .badge').first().innerText()).toBe('canceled')
  })
})
