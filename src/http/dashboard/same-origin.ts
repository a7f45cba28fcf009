// Protects forms from other sites: a browser sends the password with every request, also with one that another site
// triggers. Reasons and limits: docs/decisions/same-origin-forms.md.
import type { Request } from 'express'

/**
 * True if the dashboard's own pages, or the user directly, caused the request. Only browsers can say this, so a client that
 * sends neither header is refused.
 *
 * @param publicUrl the PUBLIC_BASE_URL; null if it is not a URL
 */
export function isSameOrigin(request: Request, publicUrl: URL | null): boolean {
  const site = request.get('Sec-Fetch-Site')
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  // Browsers omit it before 2023, and for plain http to any host but localhost.
  const origin = request.get('Origin')
  if (origin === undefined || !URL.canParse(origin)) return false
  const { host } = new URL(origin)
  // Host has no scheme, so a page at http://host could post to https://host. PUBLIC_BASE_URL has one.
  if (host === publicUrl?.host) return origin === publicUrl.origin
  return host === request.get('Host')
}
