// The installed Chromium: Debian's, or the one that CHROMIUM_PATH names.
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PATHS = [process.env['CHROMIUM_PATH'] ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser']

/** Null if none is installed. */
export const chromiumPath: string | null = PATHS.find((path) => path !== '' && existsSync(path)) ?? null

export function launchBrowser(): Promise<Browser> {
  if (chromiumPath === null)
    throw new Error('Chromium is not installed; run apt-get install chromium, or set CHROMIUM_PATH')
  // Tests may run as root, which Chromium's sandbox refuses.
  return chromium.launch({
    executablePath: chromiumPath,
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  })
}
