// What all pages share: head, navigation, banner, error pages, and security headers.
import type { Request, Response } from 'express'
import helmet from 'helmet'
import type { StoredAccountState } from '../../db/account-row.ts'
import type { Finding } from '../../delivery/health-finding.ts'
import { type Html, html } from '../../shared/html.ts'
import { accountBanner } from './account-banner.ts'
import { findingsBanner } from './findings-banner.ts'

/** Nothing from other origins, nothing inline. */
export const securityHeaders = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'"],
      connectSrc: ["'self'"],
      formAction: ["'self'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
  },
  // With `no-referrer`, browsers would send `Origin: null` with our own forms; see same-origin.ts.
  referrerPolicy: { policy: 'same-origin' },
  // Only the owner of the host can decide on Strict-Transport-Security.
  strictTransportSecurity: false,
  xFrameOptions: { action: 'deny' },
})

export interface Page {
  readonly title: string
  readonly content: Html
  /** How often a visible page is reloaded; null for never. */
  readonly refreshSeconds?: number | null
  readonly status?: number
}

const PAGES = [
  ['/', 'Overview'],
  ['/error-codes', 'Error codes'],
  ['/messages', 'Messages'],
  ['/queue', 'Queue'],
] as const

const BASE_PATH = 'smsRetryDashboardBase'

/** The path under which a browser reaches the dashboard, for links. */
export function setBasePath(response: Response, base: string): void {
  response.locals[BASE_PATH] = base
}

export function basePathOf(response: Response): string {
  return String(response.locals[BASE_PATH])
}

const ACCOUNT = 'smsRetryAccount'

/** The state of the account, for the banner and the content of the page. It is read once for each page. */
export function setAccount(response: Response, account: StoredAccountState): void {
  response.locals[ACCOUNT] = account
}

export function accountOf(response: Response): StoredAccountState {
  const account = maybeAccountOf(response)
  if (account === undefined) throw new Error('The state of the account was not read')
  return account
}

/** Undefined if it could not be read. The page says then that the database is unavailable, and has no banner. */
function maybeAccountOf({ locals }: Response): StoredAccountState | undefined {
  return locals[ACCOUNT]
}

const FINDINGS = 'smsRetryFindings'

/** For the banner; null if they could not be read. They may be some seconds old; the state of the account is not. */
export function setFindings(response: Response, findings: readonly Finding[] | null): void {
  response.locals[FINDINGS] = findings
}

function findingsOfPage({ locals }: Response): readonly Finding[] | null {
  return FINDINGS in locals ? locals[FINDINGS] : []
}

/** A table that scrolls sideways on a narrow screen, also with the keyboard. */
export function wideTable(name: string, table: Html): Html {
  return html`<div class="wide" role="region" aria-label="${name}" tabindex="0">${table}</div>`
}

/** @param request its path selects the highlighted navigation link */
export function sendPage(
  request: Request,
  response: Response,
  { title, content, refreshSeconds = null, status = 200 }: Page,
): void {
  const base = basePathOf(response)
  const account = maybeAccountOf(response)
  const links = PAGES.map(([path, name]) => {
    const isHere = path === '/' ? request.path === '/' : request.path.startsWith(path)
    return html`<a href="${base}${path}"${isHere ? html` aria-current="page"` : ''}>${name}</a>`
  })
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title} · sms-retry</title>
<link rel="icon" href="${base}/assets/icon.svg">
<link rel="stylesheet" href="${base}/assets/dashboard.css">
<script src="${base}/assets/dashboard.js" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<a class="brand" href="${base}/">sms-retry</a>
<nav aria-label="Pages">${links}</nav>
</header>
<main id="content" tabindex="-1"${refreshSeconds === null ? '' : html` data-refresh-seconds="${refreshSeconds}"`}>
${account === undefined ? '' : accountBanner(base, account)}
${findingsBanner(base, findingsOfPage(response))}
${content}
</main>
<footer>
<p class="state"><span id="zone">All times are UTC.</span></p>
<p class="state"><span id="refreshed"></span> <span id="refresh-failed" role="status"></span></p>
</footer>
</body>
</html>
`
  response.status(status).set('Cache-Control', 'no-store').type('html').send(page.text)
}

/** @param page.refreshSeconds makes the browser reload the page, even without JavaScript */
export function sendErrorPage(
  request: Request,
  response: Response,
  page: { status: number; title: string; text: string; refreshSeconds?: number },
): void {
  const { status, title, text, refreshSeconds } = page
  if (refreshSeconds !== undefined && request.method !== 'POST') response.set('Refresh', `${refreshSeconds}`)
  if (status === 503) response.set('Retry-After', '5')
  sendPage(request, response, { title, status, content: html`<h1>${title}</h1><p>${text}</p>` })
}
