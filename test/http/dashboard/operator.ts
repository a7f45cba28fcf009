// An operator without a browser, for the tests of the dashboard: signs in, opens pages and submits forms.
import type { Endpoint } from '../endpoint.ts'

export const CREDENTIALS = { DASHBOARD_USERNAME: 'operator', DASHBOARD_PASSWORD: 'correct horse: battery' }

export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

export const SIGNED_IN = basic(CREDENTIALS.DASHBOARD_USERNAME, CREDENTIALS.DASHBOARD_PASSWORD)

export interface Seen {
  readonly status: number
  readonly text: string
  readonly headers: Headers
}

export async function get(
  { url }: Pick<Endpoint, 'url'>,
  path: string,
  headers: Readonly<Record<string, string>> = { Authorization: SIGNED_IN },
): Promise<Seen> {
  const response = await fetch(url + path, { headers, redirect: 'manual' })
  return { status: response.status, text: await response.text(), headers: response.headers }
}

/** Posts the form as a browser does from one of the dashboard's pages. */
export async function post(
  { url }: Pick<Endpoint, 'url'>,
  path: string,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Seen> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { Authorization: SIGNED_IN, 'Sec-Fetch-Site': 'same-origin', ...headers },
    body: new URLSearchParams(form),
    redirect: 'manual',
  })
  return { status: response.status, text: await response.text(), headers: response.headers }
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }

export function unescapeHtml(text: string): string {
  return text.replaceAll(/&(amp|lt|gt|quot|#39);/g, (_all, name: string) => ENTITIES[name] ?? '')
}

/** The page at `path`, and the pages of older messages that it links to. */
export async function* pagesFrom(web: Pick<Endpoint, 'url'>, path: string): AsyncGenerator<Seen> {
  let next: string | undefined = path
  while (next !== undefined) {
    const page = await get(web, next)
    yield page
    const [, href] = /<a rel="next" href="([^"]+)"/.exec(page.text) ?? []
    next = href === undefined ? undefined : unescapeHtml(href)
  }
}

/** The hidden fields of the page's form, as a browser would send them. */
export function formOf({ text }: Seen): Record<string, string> {
  const fields = text.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)
  return Object.fromEntries([...fields].map(([, name = '', value = '']) => [name, unescapeHtml(value)]))
}

/** The figure with this key on the page. */
export function figureOf({ text }: Seen, key: string): number {
  const [, shown] =
    new RegExp(`data-figure="${key}"><dt>[^<]*</dt><dd>(?:<a[^>]*>)?([\\d,]+)`).exec(text) ?? []
  return shown === undefined ? Number.NaN : Number(shown.replaceAll(',', ''))
}
