// Prevents other sites from submitting forms: the browser would add the password to their requests as well. Reasons and
// limits: docs/decisions/same-origin-forms.md.
import type { Request } from 'express'

/**
 * True if a page of the dashboard caused the request, or the user directly. False for a client that sends neither header.
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
  // Host has no scheme; PUBLIC_BASE_URL does. A page at http://host must not post to https://host.
  if (host === publicUrl?.host) return origin === publicUrl.origin
  return host === request.get('Host')
}
