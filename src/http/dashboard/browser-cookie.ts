// The cookie of a browser that has signed in before. It grants no access: it only lets the browser's wrong guesses be
// counted separately from those of its address.
import { createHmac, hkdfSync, randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { parse as parseCookies } from 'cookie'
import type { CookieOptions, Request, Response } from 'express'
import { equalSecrets } from '../equal-secrets.ts'

const NAME = 'sms_retry_browser'
const MAX_AGE_SECONDS = 30 * 24 * 3600
const KEY_BYTES = 32
/**
 * An attacker who has a cookie can test passwords offline; scrypt makes each test this expensive. OWASP's Password Storage
 * Cheat Sheet names these parameters; they take 16 MB.
 */
const COST = { N: 2 ** 14, r: 8, p: 5 }

const derive = promisify<string, string, number, typeof COST, Buffer>(scrypt)

export interface Credentials {
  readonly username: string
  readonly password: string
}

export class BrowserCookie {
  readonly #credentials: Credentials
  readonly #publicBaseUrl: string
  #key: Promise<Buffer> | undefined

  /** @param publicBaseUrl gives two installations with the same password different cookies */
  constructor(credentials: Credentials, publicBaseUrl: string) {
    this.#credentials = credentials
    this.#publicBaseUrl = publicBaseUrl
  }

  /** @returns the browser's id; null without a valid cookie */
  async read(request: Request): Promise<string | null> {
    const [id, mac] = parseCookies(request.get('Cookie') ?? '')[NAME]?.split('.') ?? []
    if (id === undefined || mac === undefined) return null
    return equalSecrets(mac, await this.#macOf(id)) ? id : null
  }

  async set(response: Response, options: Pick<CookieOptions, 'secure' | 'path'>): Promise<void> {
    const id = randomBytes(16).toString('hex')
    response.cookie(NAME, `${id}.${await this.#macOf(id)}`, {
      ...options,
      httpOnly: true,
      sameSite: 'strict',
      maxAge: MAX_AGE_SECONDS * 1000,
    })
  }

  async #macOf(id: string): Promise<string> {
    this.#key ??= this.#deriveKey()
    return createHmac('sha256', await this.#key)
      .update(id)
      .digest('base64url')
  }

  /** Derived from the settings, so that cookies stay valid in all web processes and after a restart. */
  async #deriveKey(): Promise<Buffer> {
    // The username has no colon.
    const secret = `${this.#credentials.username}:${this.#credentials.password}`
    const master = await derive(secret, `sms-retry dashboard ${this.#publicBaseUrl}`, KEY_BYTES, COST)
    return Buffer.from(hkdfSync('sha256', master, '', 'cookie', KEY_BYTES))
  }
}
