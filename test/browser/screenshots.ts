// Pictures of the dashboard.
//
//   node test/browser/screenshots.ts                  the pictures in docs/images, from a day of invented messages; then
//                                                     reduce them: pngquant --force --ext .png 128 docs/images/*.png
//   node test/browser/screenshots.ts FOLDER           every page at both widths and in both colour schemes: empty, on an
//                                                     ordinary day, and in an outage
//   node test/browser/screenshots.ts FOLDER --url URL every page of the dashboard at URL, such as the one of `npm run demo`
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import pg from 'pg'
import type { Browser } from 'playwright-core'
import { startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts'
import { migrate } from '../../src/processes/migrate.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { startWeb } from '../../src/http/web.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { launchBrowser } from './browser.ts'
import { findEveryPage, SCHEMES, WIDTHS } from './every-page.ts'
import { addDay, addOutage } from './sample-data.ts'

type Query = (text: string) => Promise<never[]>

async function withDashboard(use: (url: string, query: Query) => Promise<void>): Promise<void> {
  const server = await startEmbeddedPostgres()
  try {
    await server.createDatabase('screenshots')
    const url = server.url('screenshots')
    await migrate({ url, ssl: null, poolMax: 2 }, silentLogger)
    const pool = new pg.Pool({ connectionString: url, max: 1 })
    // The server may end before the connection.
    pool.on('error', () => undefined)
    const env = { DATABASE_URL: url, PORT: '0', HOST: '127.0.0.1' }
    const web = await startWeb(openRuntime({ logger: silentLogger }, env, ['DATABASE_URL']), { isOpen: true })
    try {
      await use(web.url, async (text) => (await pool.query<never>(text)).rows)
    } finally {
      await web.stop()
      await pool.end()
    }
  } finally {
    await server.stop()
  }
}

async function shootEveryPage(browser: Browser, url: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const finder = await browser.newPage()
  const paths = await findEveryPage(finder, url)
  await finder.close()
  for (const width of WIDTHS) {
    for (const colorScheme of SCHEMES) {
      const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme })
      for (const { name, path } of paths) {
        await page.goto(url + path)
        await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true })
      }
      await page.close()
    }
  }
}

/** The pictures of README and docs. */
async function shootForDocs(browser: Browser, url: string): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1080, height: 800 } })
  const shoot = async (path: string, name: string): Promise<void> => {
    await page.goto(url + path)
    const file = fileURLToPath(new URL(`../../docs/images/${name}.png`, import.meta.url))
    await page.screenshot({ path: file, fullPage: true })
  }
  await shoot('/?span=24h', 'overview')
  await shoot('/messages/3909', 'timeline')
  await shoot('/error-codes', 'error-codes')
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { url: { type: 'string' } } })
const [folder] = positionals
const browser = await launchBrowser()
try {
  if (folder === undefined) {
    await withDashboard(async (url, query) => {
      await addDay(query)
      await shootForDocs(browser, url)
    })
  } else if (values.url !== undefined) {
    await shootEveryPage(browser, values.url.replace(/\/$/, ''), folder)
  } else {
    await withDashboard(async (url, query) => {
      await shootEveryPage(browser, url, join(folder, 'empty'))
      await addDay(query)
      await shootEveryPage(browser, url, join(folder, 'day'))
      await addOutage(query)
      await shootEveryPage(browser, url, join(folder, 'outage'))
    })
  }
} finally {
  await browser.close()
}
