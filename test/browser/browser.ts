// A real browser, where there is one: Debian's Chromium, or whatever CHROMIUM_PATH names.
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PATHS = [process.env['CHROMIUM_PATH'] ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser']

/** Null if there is none. */
export const chromiumPath: string | null = PATHS.find((path) => path !== '' && existsSync(path)) ?? null

export function launchBrowser(): Promise<Browser> {
  if (chromiumPath === null)
    throw new Error('There is no Chromium; apt-get install chromium, or set CHROMIUM_PATH')
  // Chromium's sandbox refuses root, as which tests may run.
  return chromium.launch({
    executablePath: chromiumPath,
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  })
}
