// The layout of the simulator's pages: one style, and a content security policy that allows no scripts.
import { createHash } from 'node:crypto'
import type { Response } from 'express'
import { Html, html } from '../shared/html.ts'

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --page: #fafbfc; --line: #d9dfe7; --soft: #eef2f6;
  --good: #136c3a; --bad: #b3261e; --quiet: #5b6675; --link: #0b57d0 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --page: #14181e; --line: #343c48; --soft: #1e242d;
  --good: #6fd39a; --bad: #ff8f86; --quiet: #9aa6b5; --link: #8ab4f8 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 46rem; color: var(--ink); background: var(--page);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem } h2 { margin-top: 2rem; font-size: 1.15rem }
a { color: var(--link) } small, .quiet { color: var(--quiet) }
code, pre { font: .9em/1.5 ui-monospace, monospace; background: var(--soft); border-radius: .3rem }
code { padding: .1em .3em; white-space: nowrap } pre { padding: .75rem; overflow-x: auto }
.wide { overflow-x: auto } table { width: 100%; border-collapse: collapse }
th, td { padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
.inbox { padding: 0; list-style: none }
.inbox li { margin: 0 0 .75rem; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .9rem;
  background: var(--soft) }
.inbox p { margin: .35rem 0; white-space: pre-wrap } .good { color: var(--good) } .bad { color: var(--bad) }
`

/** @param page.refreshSeconds makes the browser reload the page, without a script */
export function sendPage(
  response: Response,
  { title, content, refreshSeconds }: { title: string; content: Html; refreshSeconds?: number },
): void {
  const styleHash = createHash('sha256').update(STYLE).digest('base64')
  const refresh =
    refreshSeconds === undefined ? '' : html`<meta http-equiv="refresh" content="${refreshSeconds}">`
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${refresh}
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>${content}</body>
</html>
`
  response
    .set({
      'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-store',
    })
    .type('html')
    .send(page.text)
}
