// The names of the environment, and what is asked of each value; the messages name no value. config.ts reads them.
import { readDatabaseUrl } from './database-url.ts'
import { describeUnusual } from '../shared/hidden-characters.ts'
import { SENDER } from '../shared/phone-number.ts'
import { loadZod } from '../shared/zod.ts'

/** Twilio's tokens and secrets are letters and digits; the simulator takes more. */
const SECRET = /^[!#-&(-~]+$/

/** Each name with what its value must be, and what is made of it. */
export function createEnvSchema() {
  const { z } = loadZod()
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

  const wholeNumber = (least: number, most: number) =>
    z
      .string()
      .refine((text) => /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most, {
        message: `must be a whole number from ${least} to ${most}`,
      })
      .transform(Number)

  const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) =>
    z.enum(words, { message: `must be one of ${words.join(', ')}` })

  return z.object({
    DATABASE_URL: z.string().transform((text, context) => {
      const read = readDatabaseUrl(text)
      if ('url' in read) return read.url
      context.addIssue(read.fault)
      return z.NEVER
    }),
    DATABASE_SSL: oneOf(['disable', 'require', 'verify']),
    DATABASE_POOL_MAX: wholeNumber(1, 1000),
    PORT: wholeNumber(0, 65535),
    HOST: matching(/^[\w.:%-]+$/, '127.0.0.1, :: or a host name'),
    PUBLIC_BASE_URL: url('https://sms.example.com').refine(
      (text) => !/[?#]/.test(text),
      'must have no query and no fragment, such as https://sms.example.com',
    ),
    TWILIO_ACCOUNT_SID: matching(/^AC[0-9a-fA-F]{32}$/, 'AC followed by 32 hexadecimal digits'),
    TWILIO_AUTH_TOKEN: z
      .string()
      .transform((text) => text.split(',').map((token) => token.trim()))
      // With an empty token, anybody could sign.
      .refine((tokens) => tokens.every((token) => SECRET.test(token)), {
        message:
          'must be the auth token of the account: ASCII, without spaces and quotes; several are separated by commas, none may be empty',
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
    RETRY_POLICY_FILE: z.string(),
    RETRY_DELAY_SCALE: z
      .string()
      .refine((text) => /^\d*\.?\d+$/.test(text) && Number(text) >= 0.001 && Number(text) <= 1000, {
        message: 'must be a number from 0.001 to 1000 such as 0.01',
      })
      .transform(Number),
    SEND_RATE_PER_SECOND: z
      .string()
      .refine((text) => /^\d*\.?\d+$/.test(text) && Number(text) >= 0.1 && Number(text) <= 1000, {
        message: 'must be a number from 0.1 to 1000 such as 10',
      })
      .transform(Number),
    SEND_CONCURRENCY: wholeNumber(1, 1000),
    DASHBOARD_USERNAME: z
      .string()
      .refine((text) => !text.includes(':'), 'must have no colon, such as operator'),
    DASHBOARD_PASSWORD: z.string(),
    DASHBOARD_SHOW_CONTENT: oneOf(['true', 'false']),
    METRICS_TOKEN: z
      .string()
      .regex(/^[\x21-\x7e]+$/, 'must have no spaces, such as the output of: openssl rand -hex 32'),
    LOG_LEVEL: oneOf(['error', 'warn', 'info', 'debug']),
    LOG_FORMAT: oneOf(['json', 'text']),
    NODE_ENV: z.string(),
  })
}

export function urlOf(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null
}
