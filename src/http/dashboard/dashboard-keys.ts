// The keys of the sign-in cookie and of the forms. They follow from the settings, so that all web processes agree, also
// after a restart and while the database is away.
import { hkdfSync, randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'

const KEY_BYTES = 32
/**
 * Who has a cookie can test passwords without us: each test costs this much. OWASP's Password Storage Cheat Sheet names
 * these parameters; they take 16 MB.
 */
const COST = { N: 2 ** 14, r: 8, p: 5 }

const derive = promisify<string, string, number, typeof COST, Buffer>(scrypt)

export interface Credentials {
  readonly username: string
  readonly password: string
}

export class DashboardKeys {
  readonly #deriveMaster: () => Promise<Buffer>
  #master: Promise<Buffer> | undefined

  /**
   * @param credentials `open` if nobody is asked for any: then the keys are random
   * @param publicBaseUrl makes the keys of two installations with the same password different
   */
  constructor(credentials: Credentials | 'open', publicBaseUrl: string) {
    this.#deriveMaster = async () => {
      if (credentials === 'open') return randomBytes(KEY_BYTES)
      // A name has no colon.
      const secret = `${credentials.username}:${credentials.password}`
      return derive(secret, `sms-retry dashboard ${publicBaseUrl}`, KEY_BYTES, COST)
    }
  }

  /** Derived once in a process, when a key is first needed. */
  async keyFor(purpose: 'cookie' | 'form'): Promise<Buffer> {
    this.#master ??= this.#deriveMaster()
    return Buffer.from(hkdfSync('sha256', await this.#master, '', purpose, KEY_BYTES))
  }
}
