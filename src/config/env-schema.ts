// The environment variables and their validation. No message contains a value. config.ts reads them.
import { readDatabaseUrl } from './database-url.ts'
import { readSendWindow } from '../delivery/send-window.ts'
import { isTimeZone } from '../delivery/time-on-clock.ts'
import { describeUnusual } from '../shared/hidden-characters.ts'
import { E164, SENDER } from '../shared/phone-number.ts'
import { loadZod } from '../shared/zod.ts'

/** Twilio's tokens and secrets are letters and digits. The simulator accepts more. */
const SECRET = /^[!#-&(-~]+$/

type Z = ReturnType<typeof loadZod>['z']

/** The schema of each variable, with the value that it is parsed to. */
export function createEnvSchema() {
  const { z } = loadZod()
  const kinds = createKinds(z)
  return z.object({
    ...databaseFields(z, kinds),
    ...twilioFields(z, kinds),
    ...webFields(z, kinds),
    ...recipientFields(z),
    ...outcomeFields(z, kinds),
    RETRY_POLICY_FILE: z.string(),
    RETRY_DELAY_SCALE: kinds.decimal(0.001, 1000, '0.01'),
    SEND_RATE_PER_SECOND: kinds.decimal(0.1, 1000, '10'),
    SEND_CONCURRENCY: kinds.wholeNumber(1, 1000),
    LOG_LEVEL: kinds.oneOf(['error', 'warn', 'info', 'debug']),
    LOG_FORMAT: kinds.oneOf(['json', 'text']),
    NODE_ENV: z.string(),
  })
}

type Kinds = ReturnType<typeof createKinds>

/** The kinds of values that several variables share. */
function createKinds(z: Z) {
  const url = (example: string) =>
    z
      .string()
      .refine(
        (text) => ['http:', 'https:'].includes(urlOf(text)?.protocol ?? ''),
        `must be a URL such as ${example}`,
      )
      .refine((text) => describeUnusual(text) === null, `must be a URL such as ${example}`)

  const matching = (pattern: RegExp, example: string) =>
    z.string().regex(pattern, `must look like ${example}`)

  const numberOf = (pattern: RegExp, min: number, max: number, message: string) =>
    z
      .string()
      .refine((text) => pattern.test(text) && Number(text) >= min && Number(text) <= max, { message })
      .transform(Number)

  const wholeNumber = (min: number, max: number) =>
    numberOf(/^\d+$/, min, max, `must be a whole number from ${min} to ${max}`)

  const decimal = (min: number, max: number, example: string) =>
    numberOf(/^\d*\.?\d+$/, min, max, `must be a number from ${min} to ${max} such as ${example}`)

  const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) =>
    z.enum(words, { message: `must be one of ${words.join(', ')}` })

  return { url, matching, wholeNumber, decimal, oneOf }
}

function databaseFields(z: Z, { oneOf, wholeNumber }: Kinds) {
  return {
    DATABASE_URL: z.string().transform((text, context) => {
      const read = readDatabaseUrl(text)
      if ('url' in read) return read.url
      context.addIssue(read.fault)
      return z.NEVER
    }),
    DATABASE_SSL: oneOf(['disable', 'require', 'verify']),
    DATABASE_POOL_MAX: wholeNumber(1, 1000),
  }
}

function twilioFields(z: Z, { matching, url }: Kinds) {
  return {
    TWILIO_ACCOUNT_SID: matching(/^AC[0-9a-fA-F]{32}$/, 'AC followed by 32 hexadecimal digits'),
    TWILIO_AUTH_TOKEN: z
      .string()
      .transform((text) => text.split(',').map((token) => token.trim()))
      // With an empty token, anybody could sign.
      .refine((tokens) => tokens.every((token) => SECRET.test(token)), {
        message:
          'must be the auth token of the account, in ASCII without spaces and quotes. Separate several tokens by commas; ' +
          'none may be empty',
      }),
    TWILIO_API_KEY_SID: matching(/^SK[0-9a-fA-F]{32}$/, 'SK followed by 32 hexadecimal digits'),
    TWILIO_API_KEY_SECRET: z.string().regex(SECRET, 'must be ASCII, without spaces and quotes'),
    TWILIO_FROM_NUMBER: matching(
      SENDER,
      '+15551234567, a short code, or a sender ID: 1 to 11 of A-Z a-z 0-9 space + - _ &, with a letter',
    ),
    TWILIO_MESSAGING_SERVICE_SID: matching(/^MG[0-9a-fA-F]{32}$/, 'MG followed by 32 hexadecimal digits'),
    TWILIO_CA_BUNDLE: z.string(),
    TWILIO_API_BASE_URL: url('http://127.0.0.1:4010'),
  }
}

function webFields(z: Z, { matching, oneOf, url, wholeNumber }: Kinds) {
  return {
    PORT: wholeNumber(0, 65535),
    HOST: matching(/^[\w.:%-]+$/, '127.0.0.1, :: or a host name'),
    PUBLIC_BASE_URL: url('https://sms.example.com').refine(
      (text) => !/[?#]/.test(text),
      'must have no query and no fragment, such as https://sms.example.com',
    ),
    DASHBOARD_USERNAME: z
      .string()
      .refine((text) => !text.includes(':'), 'must have no colon, such as operator'),
    DASHBOARD_PASSWORD: z.string(),
    DASHBOARD_SHOW_CONTENT: oneOf(['true', 'false']),
    METRICS_TOKEN: z
      .string()
      .regex(/^[\x21-\x7e]+$/, 'must have no spaces, such as the output of: openssl rand -hex 32'),
  }
}

function recipientFields(z: Z) {
  const isRecipients = (text: string): boolean => text === 'recipient'
  return {
    SEND_WINDOW: z.string().transform((text, context) => {
      const read = readSendWindow(text.replaceAll(' ', ''))
      if ('window' in read) return read.window
      context.addIssue(`${read.fault}, such as 08:00-21:00`)
      return z.NEVER
    }),
    SEND_WINDOW_TIME_ZONE: z
      .string()
      .refine(
        (text) => isRecipients(text) || isTimeZone(text),
        'must be recipient, or a time zone such as America/New_York',
      ),
    SEND_WINDOW_FALLBACK_TIME_ZONE: z
      .string()
      .refine(isTimeZone, 'must be a time zone such as America/New_York'),
    RECIPIENT_ALLOWLIST: z
      .string()
      .transform((text) => text.split(',').map((entry) => entry.trim()))
      // An empty entry could be a mistake that lets everybody in, or nobody.
      .refine((entries) => entries.every((entry) => E164.test(entry) || PREFIX.test(entry)), {
        message:
          'must be phone numbers in E.164, or prefixes that end in *, separated by commas, such as +15551234567,+4479*. ' +
          'Leave it out to send to everybody',
      }),
  }
}

function outcomeFields(z: Z, { oneOf, url, wholeNumber }: Kinds) {
  return {
    OUTCOME_EVENTS: oneOf(['true', 'false']),
    OUTCOME_WEBHOOK_URL: url('https://shop.example.com/sms-outcomes').refine(
      (text) => !hasCredentials(text),
      'must have no user name and no password: the receiver checks the signature',
    ),
    OUTCOME_WEBHOOK_SECRET: z
      .string()
      .transform((text) => text.split(',').map((secret) => secret.trim()))
      .refine((secrets) => secrets.every(isWebhookSecret), {
        message:
          'must be whsec_ followed by 24 to 64 bytes in base64, such as the output of: ' +
          'echo "whsec_$(openssl rand -base64 32)". Separate several secrets by commas',
      }),
    OUTCOME_CONCURRENCY: wholeNumber(1, 1000),
    OUTCOME_BATCH_SIZE: wholeNumber(1, 1000),
  }
}

function hasCredentials(text: string): boolean {
  const url = urlOf(text)
  return url !== null && (url.username !== '' || url.password !== '')
}

/** Source: Standard Webhooks 1.0, "Signature scheme". */
function isWebhookSecret(text: string): boolean {
  const [, base64 = ''] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? []
  const bytes = Buffer.from(base64, 'base64')
  return bytes.length >= 24 && bytes.length <= 64 && bytes.toString('base64') === base64
}

/** Of numbers in E.164. A lone `+*` would allow everybody. */
const PREFIX = /^\+[1-9]\d{0,13}\*$/

export function urlOf(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null
}
