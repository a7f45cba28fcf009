// What all pages have in common: head, navigation, and the headers under which a browser runs nothing but our own file.
import type { Request, Response } from 'express'
import helmet from 'helmet'
import { type Html, html } from '../../shared/html.ts'

/** Nothing from elsewhere, nothing inline. uPlot sets the sizes of its elements by script, which `style-src` allows. */
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
  referrerPolicy: { policy: 'no-referrer' },
  // Whether a host is https for good is for its owner to say.
  strictTransportSecurity: false,
  xFrameOptions: { action: 'deny' },
})

export interface Page {
  readonly title: string
  readonly content: Html
  /** How often the page is read again while somebody looks at it; null for never. */
  readonly refreshSeconds?: number | null
  readonly status?: number
}

const PAGES = [
  ['/', 'Overview'],
  ['/error-codes', 'Error codes'],
  ['/messages', 'Messages'],
  ['/queue', 'Queue'],
] as const

/** What a browser has to put before the dashboard's own addresses; there for whoever is let in. */
const BASE = 'smsRetryDashboardBase'

export function setBasePath(response: Response, base: string): void {
  response.locals[BASE] = base
}

export function hasBasePath(response: Response): boolean {
  return BASE in response.locals
}

export function baseOf(response: Response): string {
  return String(response.locals[BASE])
}

/** @param request its path says which entry of the navigation is lit */
export function sendPage(
  request: Request,
  response: Response,
  { title, content, refreshSeconds = null, status = 200 }: Page,
): void {
  const base = baseOf(response)
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
<link rel="stylesheet" href="${base}/assets/uplot.css">
<link rel="stylesheet" href="${base}/assets/dashboard.css">
<script src="${base}/assets/uplot.js" defer></script>
<script src="${base}/assets/dashboard.js" defer></script>
</head>
<body>
<header>
<a class="brand" href="${base}/">sms-retry</a>
<nav aria-label="Pages">${links}</nav>
</header>
<main${refreshSeconds === null ? '' : html` data-refresh-seconds="${refreshSeconds}"`}>
${content}
</main>
<footer>Times are UTC. <span id="refreshed" role="status"></span></footer>
</body>
</html>
`
  response.status(status).set('Cache-Control', 'no-store').type('html').send(page.text)
}

/** For when there is nothing to show; `refresh` has the browser come back by itself, without any script. */
export function sendErrorPage(
  request: Request,
  response: Response,
  {
    status,
    title,
    text,
    refreshSeconds,
  }: { status: number; title: string; text: string; refreshSeconds?: number },
): void {
  if (refreshSeconds !== undefined && request.method !== 'POST') response.set('Refresh', `${refreshSeconds}`)
  if (status === 503) response.set('Retry-After', '5')
  sendPage(request, response, { title, status, content: html`<h1>${title}</h1><p>${text}</p>` })
}
