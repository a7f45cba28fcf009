// Times in the zone of the browser, and the automatic refresh.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { CREDENTIALS } from '../http/dashboard/operator.ts'
import { type Endpoint, startEndpoint } from '../http/endpoint.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import { chromiumPath, launchBrowser } from './browser.ts'
import { findEveryPage } from './every-page.ts'
import { addDay, addOutage } from './sample-data.ts'

if (chromiumPath === null) {
  process.stderr.write('Tests of times are skipped: Chromium is not installed (apt-get install chromium).\n')
}
const describeInBrowser = chromiumPath === null ? describe.skip : describe

const httpCredentials = { username: CREDENTIALS.DASHBOARD_USERNAME, password: CREDENTIALS.DASHBOARD_PASSWORD }

interface ShownTime {
  readonly at: string
  readonly text: string
  readonly title: string
}

/** The time as a person in this zone writes it: `2026-07-01 12:00:00`. */
const inZone = (at: string, timeZone: string): string =>
  new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(new Date(at))

const expectedIn = (timeZone: string) => (time: ShownTime) => ({
  ...time,
  text: inZone(time.at, timeZone),
  title: `${time.at.replace('T', ' ').replace('Z', '')} UTC`,
})

describeInBrowser('the times of the dashboard', () => {
  let database: TestDatabase
  let web: Endpoint
  let browser: Browser
  let page: Page

  const openPage = async (options: BrowserContextOptions): Promise<void> => {
    const context = await browser.newContext({ httpCredentials, baseURL: web.url, ...options })
    page = await context.newPage()
  }

  beforeAll(async () => {
    database = await createTestDatabase()
    await addDay(database.query)
    await addOutage(database.query)
    // One message whose attempts were in summer and in winter.
    await database.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, created_at, final_status, twilio_message_sid,
                                   sms_metadata)
       values (77, '+12065550177', 'outbound', 5, '2026-01-15T23:30:00Z', 'delivered', 'SM' || md5('77'), '{"attempts": [
         {"number": 0, "status": "delivered", "times": {"submitting": "2026-01-15T23:30:00.250Z", "delivered": "2026-07-15T23:30:00Z"}}]}')`,
    )
    web = await startEndpoint(database.url, CREDENTIALS)
    browser = await launchBrowser()
  })

  afterEach(() => page.context().close())

  afterAll(async () => {
    await browser.close()
    await web.stop()
    await database.drop()
  })

  const shownTimes = async (): Promise<ShownTime[]> =>
    (await page.evaluate(
      `[...document.querySelectorAll('time')].map((time) => ({ at: time.dateTime, text: time.textContent, title: time.title }))`,
    )) as ShownTime[]

  const zoneNote = (): Promise<string> => page.locator('#zone').innerText()

  test('are in the zone of the browser on every page, with UTC in the title', async () => {
    await openPage({ timezoneId: 'Australia/Adelaide' })
    const paths = await findEveryPage(page, web.url)
    let count = 0
    for (const { path } of paths) {
      await page.goto(path)
      const times = await shownTimes()
      count += times.length
      expect([path, times]).toEqual([path, times.map(expectedIn('Australia/Adelaide'))])
      expect(await zoneNote()).toContain('Times are in the zone Australia/Adelaide.')
    }
    expect(count).toBeGreaterThan(100)
  })

  test('follow daylight-saving time', async () => {
    await openPage({ timezoneId: 'America/New_York' })
    await page.goto('/messages?user=77')
    await page.locator('table.messages tbody a').click()
    await page.waitForURL(/messages\/\d+$/)
    const texts = (await shownTimes()).map(({ text }) => text)
    expect(texts).toContain('2026-01-15 18:30:00')
    expect(texts).toContain('2026-07-15 19:30:00')
  })

  test('are in UTC after a click, also on the next page, until the zone is chosen again', async () => {
    await openPage({ timezoneId: 'Australia/Adelaide' })
    await page.goto('/messages')
    await page.getByRole('button', { name: 'Show UTC' }).click()
    for (const path of ['/messages', '/queue']) {
      if (path !== '/messages') await page.goto(path)
      const times = await shownTimes()
      expect([path, times]).toEqual([path, times.map(expectedIn('UTC'))])
      expect(await zoneNote()).toBe('All times are UTC.')
    }
    await page.getByRole('button', { name: 'Show Australia/Adelaide' }).click()
    const times = await shownTimes()
    expect(times.length).toBeGreaterThan(0)
    expect(times).toEqual(times.map(expectedIn('Australia/Adelaide')))
  })

  test('are in UTC without JavaScript, and the page says so and has no dead button', async () => {
    await openPage({ timezoneId: 'Australia/Adelaide', javaScriptEnabled: false })
    await page.goto('/messages')
    const first = page.locator('tbody time').first()
    const at = `${await first.getAttribute('datetime')}`
    expect(await first.innerText()).toBe(inZone(at, 'UTC'))
    expect(await zoneNote()).toBe('All times are UTC.')
    expect(await page.locator('footer button').count()).toBe(0)
  })

  test('a browser in UTC offers no other zone', async () => {
    await openPage({ timezoneId: 'UTC' })
    await page.goto('/messages')
    expect(await zoneNote()).toBe('All times are UTC.')
    expect(await page.locator('footer button').count()).toBe(0)
  })

  test('stay in the zone of the browser after a refresh, which keeps the focus', async () => {
    await openPage({ timezoneId: 'Australia/Adelaide' })
    await page.goto('/queue')
    await page.getByRole('link', { name: 'Pause sending' }).focus()
    await page.locator('#refreshed time').waitFor({ timeout: 60_000 })
    const times = await shownTimes()
    expect(times).toEqual(times.map(expectedIn('Australia/Adelaide')))
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Pause sending')
  })

  test('a paused page is not refreshed until it is resumed', async () => {
    await openPage({})
    await page.clock.install()
    let refreshes = 0
    page.on('request', (request) => {
      if (request.resourceType() === 'fetch') refreshes += 1
    })
    await page.goto('/queue')
    await page.getByRole('button', { name: 'Pause refresh' }).click()
    await page.clock.runFor(60_000)
    expect(refreshes).toBe(0)
    await page.getByRole('button', { name: 'Resume refresh' }).click()
    await page.clock.runFor(6_000)
    await waitFor('a refresh', () => refreshes > 0)
  })
})
