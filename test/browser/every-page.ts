// The path of every page of the dashboard, found through its links as a person finds them.
import type { Page } from 'playwright-core'

export interface NamedPath {
  /** For a file name. */
  readonly name: string
  readonly path: string
}

const ALWAYS: readonly NamedPath[] = [
  { name: 'overview', path: '/?span=24h' },
  { name: 'overview-30d', path: '/?span=30d' },
  { name: 'error-codes', path: '/error-codes?span=24h' },
  { name: 'messages', path: '/messages' },
  { name: 'messages-none', path: '/messages?user=nobody' },
  { name: 'queue', path: '/queue' },
  { name: 'queue-pause', path: '/queue/pause' },
  { name: 'outcomes', path: '/queue/outcomes' },
  { name: 'bulk-retry', path: '/messages/bulk/retry?status=failed-for-good' },
  { name: 'bulk-cancel', path: '/messages/bulk/cancel?status=in-flight' },
  { name: 'not-found', path: '/messages/2000000000' },
  { name: 'invalid-search', path: '/messages?status=bounced' },
]

/** Filters of the messages page, and the pages of the first message that they find. */
const OF_A_MESSAGE = [
  { name: 'delivered', filter: 'status=delivered&code=30003', actions: [] },
  { name: 'failed', filter: 'status=failed-for-good', actions: ['retry'] },
  { name: 'waiting', filter: 'status=retrying', actions: ['cancel'] },
  { name: 'in-doubt', filter: 'status=submitting&until=1m', actions: ['resolve'] },
]

/** The pages that this dashboard has now: in an empty one, those of a message are missing. */
export async function findEveryPage(page: Page, url: string): Promise<NamedPath[]> {
  const found: NamedPath[] = [...ALWAYS]
  for (const { name, filter, actions } of OF_A_MESSAGE) {
    await page.goto(`${url}/messages?${filter}`)
    const link = page.locator('table.messages tbody a').first()
    if ((await link.count()) === 0) continue
    const path = await link.getAttribute('href')
    found.push({ name: `message-${name}`, path: `${path}` })
    for (const action of actions) found.push({ name: `message-${action}`, path: `${path}/${action}` })
  }
  await page.goto(`${url}/queue`)
  if ((await page.getByRole('link', { name: 'Resume sending' }).count()) > 0)
    found.push({ name: 'queue-resume', path: '/queue/resume' })
  await page.goto(`${url}/error-codes?span=24h`)
  const ofCode = page.locator('a[href*="/error-codes/"]').first()
  if ((await ofCode.count()) > 0)
    found.push({ name: 'error-code', path: `${await ofCode.getAttribute('href')}` })
  return found
}

export const WIDTHS = [1280, 390] as const
export const SCHEMES = ['light', 'dark'] as const
