// Every page of the dashboard in an outage, and in an empty database: the rules of axe, the keyboard, narrow and enlarged
// windows.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import axe from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { CREDENTIALS } from '../http/dashboard/operator.ts'
import { type Endpoint, startEndpoint } from '../http/endpoint.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { chromiumPath, launchBrowser } from './browser.ts'
import { findEveryPage, type NamedPath, SCHEMES, WIDTHS } from './every-page.ts'
import { addDay, addOutage } from './sample-data.ts'

if (chromiumPath === null) {
  process.stderr.write(
    'Accessibility tests are skipped: Chromium is not installed (apt-get install chromium).\n',
  )
}
const describeInBrowser = chromiumPath === null ? describe.skip : describe

/** WCAG 2.2, levels A and AA, and the best practices of axe. */
const RULES = {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  resultTypes: ['violations'],
}

const httpCredentials = { username: CREDENTIALS.DASHBOARD_USERNAME, password: CREDENTIALS.DASHBOARD_PASSWORD }

const EVERY_NAME = [
  ...[
    'overview',
    'error-codes',
    'messages',
    'messages-none',
    'queue',
    'queue-pause',
    'queue-resume',
    'outcomes',
  ],
  ...['bulk-retry', 'bulk-cancel', 'not-found', 'invalid-search', 'message-delivered', 'message-failed'],
  ...['message-retry', 'message-waiting', 'message-cancel', 'message-in-doubt', 'message-resolve'],
]

describeInBrowser('accessibility', () => {
  let database: TestDatabase
  let empty: TestDatabase
  let web: Endpoint
  let emptyWeb: Endpoint
  let browser: Browser
  let paths: readonly NamedPath[]
  let page: Page

  const openPage = async (options: BrowserContextOptions = {}): Promise<Page> => {
    const context = await browser.newContext({ httpCredentials, baseURL: web.url, ...options })
    page = await context.newPage()
    return page
  }

  beforeAll(async () => {
    database = await createTestDatabase()
    empty = await createTestDatabase()
    await addDay(database.query)
    await addOutage(database.query)
    web = await startEndpoint(database.url, CREDENTIALS)
    emptyWeb = await startEndpoint(empty.url, CREDENTIALS)
    browser = await launchBrowser()
    paths = await findEveryPage(await openPage(), web.url)
    await page.context().close()
  })

  afterEach(() => page.context().close())

  afterAll(async () => {
    await browser.close()
    await web.stop()
    await emptyWeb.stop()
    await database.drop()
    await empty.drop()
  })

  /** One line for each broken rule and element. */
  async function violations(): Promise<string[]> {
    // Through the debugger: the security policy refuses a script that is added to the page.
    await page.evaluate(axe.source)
    const { violations: found } = (await page.evaluate(
      `axe.run(document, ${JSON.stringify(RULES)})`,
    )) as axe.AxeResults
    return found.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary = '' }) => `${id} at ${target.join(' ')}: ${failureSummary}`),
    )
  }

  async function violationsOf(all: readonly NamedPath[]): Promise<string[]> {
    const found: string[] = []
    for (const { name, path } of all) {
      await page.goto(path)
      found.push(...(await violations()).map((line) => `${name}: ${line}`))
    }
    return found
  }

  test('every kind of page is found', () => {
    expect(paths.map(({ name }) => name)).toEqual(expect.arrayContaining(EVERY_NAME))
  })

  describe.each(WIDTHS)('at %d pixels', (width) => {
    test.each(SCHEMES)('no page in the %s scheme breaks a rule of axe', async (colorScheme) => {
      await openPage({ viewport: { width, height: 800 }, colorScheme })
      expect(await violationsOf(paths)).toEqual([])
    })
  })

  test('no page of an empty dashboard breaks a rule of axe', async () => {
    await openPage({ baseURL: emptyWeb.url })
    const all = await findEveryPage(page, emptyWeb.url)
    expect(all.map(({ name }) => name)).not.toContain('message-failed')
    expect(await violationsOf(all)).toEqual([])
  })

  test.each(SCHEMES)('the sign-in page in the %s scheme breaks no rule of axe', async (colorScheme) => {
    await openPage({ colorScheme, httpCredentials: { ...httpCredentials, password: 'guess' } })
    expect((await page.goto('/'))?.status()).toBe(401)
    expect(await page.locator('main').innerText()).toContain('Sign in with DASHBOARD_USERNAME')
    expect(await violations()).toEqual([])
  })

  // 640 pixels are a window of 1280 pixels at 200 %, 320 pixels one at 400 %.
  test.each([320, 390, 640])('no page scrolls sideways at %d pixels', async (width) => {
    await openPage({ viewport: { width, height: 800 } })
    const wide: string[] = []
    for (const { name, path } of paths) {
      await page.goto(path)
      if (await page.evaluate('document.documentElement.scrollWidth > innerWidth')) wide.push(name)
    }
    expect(wide).toEqual([])
  })

  test('on a phone, each message is a card that fits the window', async () => {
    await openPage({ viewport: { width: 390, height: 800 } })
    await page.goto('/messages')
    const isCut = await page.evaluate(
      `[...document.querySelectorAll('.wide')].map(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)`,
    )
    expect(isCut).toEqual([false])
    const card = await page.locator('table.messages tbody tr').first().innerText()
    expect(card).toMatch(/^4001[\s\S]*…0037[\s\S]*retrying[\s\S]*30001[\s\S]*order=1001/)
    // On one line: as high as the ID beside it.
    const [id, number] = await Promise.all(
      [0, 2].map(
        async (cell) =>
          (await page.locator('tbody tr').first().locator('td').nth(cell).boundingBox())?.height,
      ),
    )
    expect(number).toBe(id)
  })

  test('on a phone, the page of a code names each figure and shows no empty cell', async () => {
    await openPage({ viewport: { width: 390, height: 800 } })
    await page.goto('/error-codes/30003')
    const cells = (await page.evaluate(
      `[...document.querySelectorAll('main td')].filter((cell) => cell.checkVisibility()).map((cell) => ({
         text: cell.textContent, isEmpty: cell.childNodes.length === 0, name: getComputedStyle(cell, '::before').content }))`,
    )) as { text: string; isEmpty: boolean; name: string }[]
    expect(cells.length).toBeGreaterThan(40)
    expect(cells.filter(({ isEmpty }) => isEmpty)).toEqual([])
    // The id of a message is its link, and needs no name.
    expect(cells.filter(({ text, name }) => /^\d{1,3}$/.test(text) && name === 'none')).toEqual([])
  })

  test('with reduced motion, nothing on a page moves', async () => {
    await openPage({ reducedMotion: 'reduce' })
    const moving: string[] = []
    for (const { name, path } of paths) {
      await page.goto(path)
      const count = await page.evaluate(`document.getAnimations().length +
        [...document.querySelectorAll('*')].filter((element) => {
          const { transitionDuration, animationName, scrollBehavior } = getComputedStyle(element)
          return parseFloat(transitionDuration) > 0 || animationName !== 'none' || scrollBehavior === 'smooth'
        }).length`)
      if (count !== 0) moving.push(name)
    }
    expect(moving).toEqual([])
  })

  test('the keyboard reaches every link and field of every page, and each shows that it has the focus', async () => {
    await openPage()
    const faults: string[] = []
    for (const { name, path } of paths) {
      await page.goto(path)
      const [stops = 0, dates = 0] = (await page.evaluate(`[${STOPS}.length, ${DATES}.length]`)) as number[]
      const reached = new Set<number>()
      // One more for the page itself, which a field with the focus from the start leads to.
      for (let i = 0; i <= stops + dates * PARTS_OF_A_DATE && reached.size < stops; i += 1) {
        await page.keyboard.press('Tab')
        const { index, outline, text } = (await page.evaluate(FOCUSED)) as Focused
        if (index === -1) continue
        reached.add(index)
        if (outline < 2) faults.push(`${name}: no outline at ${text}`)
      }
      if (reached.size < stops) faults.push(`${name}: reached ${reached.size} of ${stops}`)
    }
    expect(faults).toEqual([])
  })

  test('the skip link appears with the first Tab, and leads to the content', async () => {
    await openPage()
    await page.goto('/messages')
    const skip = page.getByRole('link', { name: 'Skip to the content' })
    expect((await skip.boundingBox())?.width).toBeLessThanOrEqual(1)
    await page.keyboard.press('Tab')
    expect((await skip.boundingBox())?.width).toBeGreaterThan(100)
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    // The first link or field of the content, not of the navigation.
    expect(await page.evaluate('document.querySelector("main").contains(document.activeElement)')).toBe(true)
  })
})

interface Focused {
  readonly index: number
  readonly outline: number
  readonly text: string
}

const STOPS = `[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary, [tabindex="0"]')]
  .filter((element) => element.checkVisibility({ visibilityProperty: true }))`

/** Tab stops at each part of a date: month, day, year, hour, minute, half of the day, calendar. */
const DATES = `document.querySelectorAll('input[type=datetime-local]')`
const PARTS_OF_A_DATE = 7

const FOCUSED = `(() => {
  const element = document.activeElement
  const { outlineStyle, outlineWidth } = getComputedStyle(element)
  return {
    index: ${STOPS}.indexOf(element),
    outline: outlineStyle === 'none' ? 0 : parseFloat(outlineWidth),
    text: element.outerHTML.slice(0, 80),
  }
})()`
