// Tests the configuration: messages for an invalid environment, which never contain a value, and defaults.
import { describe, expect, test } from '@jest/globals'
import { type Env, envNames, type EnvName, parseConfig, type Requirement } from '../../src/config/config.ts'
import { ConfigError } from '../../src/shared/errors.ts'

const ENV_NAMES = envNames()

const EVERYTHING: readonly Requirement[] = [
  'DATABASE_URL',
  'PUBLIC_BASE_URL',
  'TWILIO_ACCOUNT_SID',
  'TWILIO_AUTH_TOKEN',
  'sender',
]

const GOOD: Env = {
  DATABASE_URL: 'postgres://app:hunter2@localhost:5432/app',
  PUBLIC_BASE_URL: 'https://sms.example.com',
  TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
  TWILIO_AUTH_TOKEN: 'a'.repeat(32),
  TWILIO_FROM_NUMBER: '+15551234567',
}

function faultsOf(env: Env, required: readonly Requirement[] = EVERYTHING): string {
  try {
    parseConfig(env, required)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return ''
}

describe('an invalid environment', () => {
  test('reports all faults together, by name, with where to read more', () => {
    const message = faultsOf({
      DATABASE_URL: 'mysql://localhost/app',
      DATABASE_SSL: 'maybe',
      DATABASE_POOL_MAX: '0',
      PORT: '80 80',
      PUBLIC_BASE_URL: 'sms.example.com',
      TWILIO_ACCOUNT_SID: 'AC123',
      TWILIO_AUTH_TOKEN: 'one,,two',
      TWILIO_API_KEY_SID: 'SK123',
      TWILIO_API_BASE_URL: 'ftp://localhost',
      TWILIO_MESSAGING_SERVICE_SID: 'MG123',
      RETRY_DELAY_SCALE: '-1',
      SEND_RATE_PER_SECOND: '0.01',
      SEND_CONCURRENCY: '0',
      SEND_WINDOW: '8-21',
      SEND_WINDOW_TIME_ZONE: 'here',
      SEND_WINDOW_FALLBACK_TIME_ZONE: 'recipient',
      RECIPIENT_ALLOWLIST: '+1206555,5550100',
      DASHBOARD_USERNAME: 'oper:ator',
      DASHBOARD_SHOW_CONTENT: 'yes',
      METRICS_TOKEN: 'two words',
      OUTCOME_EVENTS: 'yes',
      OUTCOME_WEBHOOK_URL: 'shop.example.com',
      OUTCOME_WEBHOOK_SECRET: 'whsec_too-short',
      OUTCOME_CONCURRENCY: '0',
      OUTCOME_BATCH_SIZE: '-1',
      LOG_LEVEL: 'loud',
      LOG_FORMAT: 'xml',
    })
    const named = ENV_NAMES.filter((name) => new RegExp(`^  ${name} `, 'm').test(message))
    expect(named).toEqual(
      ENV_NAMES.filter(
        (name) =>
          ![
            'HOST',
            'TWILIO_API_KEY_SECRET',
            'TWILIO_CA_BUNDLE',
            'RETRY_POLICY_FILE',
            'NODE_ENV',
            'TWILIO_FROM_NUMBER',
            'DASHBOARD_PASSWORD',
          ].includes(name),
      ),
    )
    expect(message).toContain('docs/configuration.md')
  })

  test('reports all missing settings together, each with an example', () => {
    const message = faultsOf({})
    for (const name of ['DATABASE_URL', 'PUBLIC_BASE_URL', 'TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN'])
      expect(message).toMatch(new RegExp(`^  ${name} is required, such as \\S+`, 'm'))
    expect(message).toMatch(/TWILIO_FROM_NUMBER \(such as \+15551234567\) or TWILIO_MESSAGING_SERVICE_SID/)
  })

  test('may lack settings that the program does not need', () => {
    expect(faultsOf({}, [])).toBe('')
    expect(faultsOf({ DATABASE_URL: GOOD['DATABASE_URL'] }, ['DATABASE_URL'])).toBe('')
  })

  test.each(ENV_NAMES.map((name) => [name]))('a wrong %s is never repeated in the message', (name) => {
    const value = `hush?${name}#hush`
    // The sid of the API key is missing, so that its secret, which is never invalid, causes a fault as well.
    const message = faultsOf({ ...GOOD, NODE_ENV: 'production', [name]: value })
    expect(message).not.toContain('hush')
  })

  test('repeats no value, even if every setting is invalid', () => {
    const message = faultsOf(Object.fromEntries(ENV_NAMES.map((name) => [name, `hush-${name}-hush`])))
    expect(message).toContain('DATABASE_URL')
    expect(message).not.toContain('hush')
  })

  test.each<[EnvName, string]>([
    ['DATABASE_URL', 'postgres://user:hunter2@:bad port/app'],
    ['DATABASE_URL', 'user:hunter2@localhost/app'],
    ['TWILIO_AUTH_TOKEN', 'hunter2,'],
    ['TWILIO_API_KEY_SECRET', 'hunter2'],
    ['TWILIO_API_BASE_URL', 'ftp://user:hunter2@localhost'],
    ['PUBLIC_BASE_URL', 'https://user:hunter2@localhost?x'],
  ])('rejects %s without repeating the secret in it', (name, value) => {
    const message = faultsOf({ ...GOOD, [name]: value })
    expect(message).toContain(name)
    expect(message).not.toContain('hunter2')
  })
})

describe('the value', () => {
  test.each<[EnvName, string, boolean]>([
    ['DATABASE_URL', 'postgres://localhost/app', true],
    ['DATABASE_URL', 'postgresql://localhost/app?sslmode=require', true],
    ['DATABASE_URL', 'postgresql://user:password@/app?host=/cloudsql/project:region:instance', true],
    ['DATABASE_URL', 'postgresql:///app?host=/cloudsql/project:region:instance', true],
    ['DATABASE_URL', 'http://localhost/app', false],
    ['DATABASE_URL', 'http://user@/app', false],
    ['DATABASE_POOL_MAX', '1', true],
    ['DATABASE_POOL_MAX', '0', false],
    ['DATABASE_POOL_MAX', '2.5', false],
    ['DATABASE_POOL_MAX', '1e2', false],
    ['PORT', '0', true],
    ['PORT', '65536', false],
    ['PORT', '0x50', false],
    ['PUBLIC_BASE_URL', 'http://localhost:3000', true],
    ['PUBLIC_BASE_URL', 'https://sms.example.com/base/', true],
    ['PUBLIC_BASE_URL', 'https://sms.example.com?a=1', false],
    ['PUBLIC_BASE_URL', 'https://sms.example.com#a', false],
    ['PUBLIC_BASE_URL', 'ftp://sms.example.com', false],
    ['TWILIO_ACCOUNT_SID', `SK${'0'.repeat(32)}`, false],
    ['TWILIO_ACCOUNT_SID', `AC${'0'.repeat(33)}`, false],
    ['TWILIO_AUTH_TOKEN', `${'a'.repeat(32)},${'b'.repeat(32)}`, true],
    ['TWILIO_AUTH_TOKEN', `${'a'.repeat(32)},`, false],
    ['TWILIO_AUTH_TOKEN', ',', false],
    ['TWILIO_FROM_NUMBER', '12345', true],
    ['TWILIO_FROM_NUMBER', 'Shop 24', true],
    ['TWILIO_FROM_NUMBER', 'A shop with a long name', false],
    ['TWILIO_FROM_NUMBER', 'A+b-c_d&e 1', true],
    ['TWILIO_FROM_NUMBER', 'A+b-c_d&e 12', false],
    ['TWILIO_FROM_NUMBER', 'x', true],
    ['TWILIO_FROM_NUMBER', '1-2 3', false],
    ['TWILIO_FROM_NUMBER', 'Shop!', false],
    ['TWILIO_FROM_NUMBER', 'Shöp', false],
    ['HOST', '::1', true],
    ['HOST', 'http://0.0.0.0', false],
    ['TWILIO_API_KEY_SECRET', 'two words', false],
    ['TWILIO_FROM_NUMBER', '15551234567', false],
    ['TWILIO_FROM_NUMBER', '+1 555 123 4567', false],
    ['METRICS_TOKEN', 'x'.repeat(16), true],
    ['METRICS_TOKEN', `${'x'.repeat(16)} ${'y'.repeat(16)}`, false],
    ['METRICS_TOKEN', `${'x'.repeat(16)}é`, false],
    ['RETRY_DELAY_SCALE', '0.001', true],
    ['RETRY_DELAY_SCALE', '.5', true],
    ['RETRY_DELAY_SCALE', '0', false],
    ['RETRY_DELAY_SCALE', '0.0', false],
    ['RETRY_DELAY_SCALE', 'Infinity', false],
    ['SEND_WINDOW', '08:00 - 21:00', true],
    ['SEND_WINDOW', '22:00-06:00', true],
    ['SEND_WINDOW', '08:00-08:00', false],
    ['SEND_WINDOW', '08:00-24:00', false],
    ['SEND_WINDOW', '8am-9pm', false],
    ['SEND_WINDOW_TIME_ZONE', 'recipient', true],
    ['SEND_WINDOW_TIME_ZONE', 'Europe/Berlin', true],
    ['SEND_WINDOW_TIME_ZONE', 'Europe/Nowhere', false],
    ['SEND_WINDOW_FALLBACK_TIME_ZONE', 'recipient', false],
    ['RECIPIENT_ALLOWLIST', '+12065550100', true],
    ['RECIPIENT_ALLOWLIST', '+12065550100, +4479*', true],
    ['RECIPIENT_ALLOWLIST', '*', false],
    ['RECIPIENT_ALLOWLIST', '+*', false],
    ['RECIPIENT_ALLOWLIST', '+1206*5550100', false],
    ['RECIPIENT_ALLOWLIST', '+12065550100,', false],
    ['RECIPIENT_ALLOWLIST', '12065550100', false],
    ['LOG_LEVEL', 'debug', true],
    ['LOG_LEVEL', 'DEBUG', false],
  ])('%s=%s is valid: %p', (name, value, isFine) => {
    const message = faultsOf({ ...GOOD, SEND_WINDOW_FALLBACK_TIME_ZONE: 'America/New_York', [name]: value })
    expect(message === '').toBe(isFine)
    if (!isFine) expect(message).toContain(name)
  })

  test.each<[string, Env, boolean]>([
    ['http without NODE_ENV', { TWILIO_API_BASE_URL: 'http://127.0.0.1:4010' }, true],
    ['http in development', { TWILIO_API_BASE_URL: 'http://127.0.0.1:4010', NODE_ENV: 'development' }, true],
    ['http in production', { TWILIO_API_BASE_URL: 'http://127.0.0.1:4010', NODE_ENV: 'production' }, false],
    ['https in production', { TWILIO_API_BASE_URL: 'https://twilio.test', NODE_ENV: 'production' }, true],
    ['none in production', { NODE_ENV: 'production' }, true],
  ])('of TWILIO_API_BASE_URL with %s is valid: %p', (_what, env, isFine) => {
    expect(faultsOf({ ...GOOD, ...env }) === '').toBe(isFine)
  })

  const HOOK = {
    OUTCOME_EVENTS: 'true',
    OUTCOME_WEBHOOK_URL: 'http://127.0.0.1:4000/hook',
    OUTCOME_WEBHOOK_SECRET: `whsec_${Buffer.alloc(24, 1).toString('base64')}`,
  }
  const SECOND = `whsec_${Buffer.alloc(64, 2).toString('base64')}`

  test.each<[string, Env, boolean]>([
    ['a webhook', HOOK, true],
    ['two secrets', { ...HOOK, OUTCOME_WEBHOOK_SECRET: `${HOOK.OUTCOME_WEBHOOK_SECRET}, ${SECOND}` }, true],
    ['events and no webhook', { OUTCOME_EVENTS: 'true' }, true],
    ['http in production', { ...HOOK, NODE_ENV: 'production' }, false],
    ['https in production', { ...HOOK, OUTCOME_WEBHOOK_URL: 'https://a.test', NODE_ENV: 'production' }, true],
    ['a webhook and no events', { ...HOOK, OUTCOME_EVENTS: 'false' }, false],
    ['no secret', { ...HOOK, OUTCOME_WEBHOOK_SECRET: '' }, false],
    ['no URL', { ...HOOK, OUTCOME_WEBHOOK_URL: '' }, false],
    ['a password in the URL', { ...HOOK, OUTCOME_WEBHOOK_URL: 'https://a:b@shop.test' }, false],
    ['a secret of 23 bytes', { ...HOOK, OUTCOME_WEBHOOK_SECRET: `whsec_${'A'.repeat(31)}=` }, false],
    ['a secret that is not base64', { ...HOOK, OUTCOME_WEBHOOK_SECRET: `whsec_${'A'.repeat(33)}` }, false],
    ['an empty second secret', { ...HOOK, OUTCOME_WEBHOOK_SECRET: `${SECOND},` }, false],
  ])('of outcomes with %s is valid: %p', (_what, env, isFine) => {
    expect(faultsOf({ ...GOOD, ...env }) === '').toBe(isFine)
  })

  test('of outcomes takes no larger batches than may be delivered at the same time', () => {
    const outcomesOf = (env: Env): unknown => parseConfig(env, []).outcomes
    expect(outcomesOf({})).toMatchObject({ concurrency: 10, batchSize: 5 })
    expect(outcomesOf({ OUTCOME_CONCURRENCY: '3' })).toMatchObject({ concurrency: 3, batchSize: 3 })
    expect(outcomesOf({ OUTCOME_BATCH_SIZE: '20' })).toMatchObject({ concurrency: 20, batchSize: 20 })
  })

  test.each<[string, Env, boolean]>([
    ['both', { TWILIO_API_KEY_SID: `SK${'1'.repeat(32)}`, TWILIO_API_KEY_SECRET: 's' }, true],
    ['neither', {}, true],
    ['only the sid', { TWILIO_API_KEY_SID: `SK${'1'.repeat(32)}` }, false],
    ['only the secret', { TWILIO_API_KEY_SECRET: 's' }, false],
    [
      'the sid with an empty secret',
      { TWILIO_API_KEY_SID: `SK${'1'.repeat(32)}`, TWILIO_API_KEY_SECRET: ' ' },
      false,
    ],
  ])('of an API key with %s', (_what, env, isFine) => {
    const message = faultsOf({ ...GOOD, ...env })
    expect(message === '').toBe(isFine)
    if (!isFine) expect(message).toContain('TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET')
  })
})

describe('a send window', () => {
  const fallback = { SEND_WINDOW_FALLBACK_TIME_ZONE: 'America/New_York' }

  test.each<[string, Env, boolean]>([
    ['in the recipients’ time zones by default, without a time zone for unknown numbers,', {}, false],
    ['in the recipients’ time zones, without one,', { SEND_WINDOW_TIME_ZONE: 'recipient' }, false],
    ['in the recipients’ time zones, with one,', fallback, true],
    ['in one time zone for everybody', { SEND_WINDOW_TIME_ZONE: 'Asia/Tokyo' }, true],
  ])('%s is valid: %p', (_what, env, isFine) => {
    const message = faultsOf({ ...GOOD, SEND_WINDOW: '08:00-21:00', ...env })
    expect(message === '').toBe(isFine)
    if (!isFine) expect(message).toMatch(/SEND_WINDOW_FALLBACK_TIME_ZONE is required.*at night/)
  })

  test.each([
    ['8:00-21:00', 'must be two times of day, HH:MM with two digits each, from 00:00 (midnight) to 23:59'],
    ['08:00-24:00', 'must be two times of day, HH:MM with two digits each, from 00:00 (midnight) to 23:59'],
    ['08:00', 'must be two times of day, HH:MM with two digits each, from 00:00 (midnight) to 23:59'],
    ['08:00-08:00', 'must begin and end at different times of day'],
  ])('%s is rejected with the fault in it', (hours, fault) => {
    expect(faultsOf({ ...GOOD, ...fallback, SEND_WINDOW: hours })).toContain(
      `  SEND_WINDOW ${fault}, such as 08:00-21:00\n`,
    )
  })

  test('is read as two times of day, with its time zones', () => {
    const { sendWindow } = parseConfig({ ...GOOD, SEND_WINDOW: '08:00-21:00', ...fallback }, EVERYTHING)
    expect(sendWindow).toEqual({
      hours: { from: '08:00', to: '21:00' },
      timeZone: 'recipient',
      fallbackTimeZone: 'America/New_York',
    })
  })
})

test('the allow-list is read as its entries, without spaces', () => {
  const { recipientAllowlist } = parseConfig({ RECIPIENT_ALLOWLIST: ' +12065550100 , +4479* ' }, [])
  expect(recipientAllowlist).toEqual(['+12065550100', '+4479*'])
})

describe('a pasted value', () => {
  /** A valid value with an invisible character in the middle. */
  const withInvisible = (name: EnvName): string =>
    `${GOOD[name] ?? 'x'.repeat(8)}`.replace(/^.../, '$&\u200B')

  test.each(ENV_NAMES.map((name) => [name]))('%s with an invisible character says which one', (name) => {
    expect(faultsOf({ ...GOOD, [name]: withInvisible(name) })).toContain(
      `  ${name} has U+200B ZERO WIDTH SPACE as character 4`,
    )
  })

  test.each<[EnvName, string, RegExp]>([
    ['PUBLIC_BASE_URL', 'https://sms\u2013api.example.com', /it has U\+2013 EN DASH as character 12/],
    ['PUBLIC_BASE_URL', '“https://sms.example.com”', /it has U\+201C LEFT DOUBLE QUOTATION MARK/],
    ['TWILIO_ACCOUNT_SID', 'AC12\u2026', /it has U\+2026 HORIZONTAL ELLIPSIS as character 5/],
    ['TWILIO_ACCOUNT_SID', `"AC${'0'.repeat(32)}`, /it has a quote at one end/],
    ['TWILIO_AUTH_TOKEN', `"${'a'.repeat(32)}","${'b'.repeat(32)}"`, /without spaces and quotes/],
    ['PORT', '３０００', /it has a fullwidth character as character 1/],
    ['METRICS_TOKEN', '‘token’', /it has U\+2018 LEFT SINGLE QUOTATION MARK/],
    ['TWILIO_FROM_NUMBER', '+1 (555) 123-4567', /; leave out spaces, brackets, dots, dashes and slashes/],
    ['TWILIO_FROM_NUMBER', '0015551234567', /; write \+ in place of 00/],
    ['TWILIO_FROM_NUMBER', '12065550199', /; begin with \+ and the country code/],
    ['TWILIO_FROM_NUMBER', '+１５５５１２３４５６７', /it has a fullwidth character as character 2/],
  ])('%s=%s is rejected with a hint on what a person may overlook', (name, value, fault) => {
    expect(faultsOf({ ...GOOD, [name]: value })).toMatch(fault)
    expect(faultsOf({ ...GOOD, [name]: value })).not.toContain(value)
  })

  const FREE: readonly EnvName[] = ['DASHBOARD_USERNAME', 'DASHBOARD_PASSWORD', 'METRICS_TOKEN']

  test.each(["'", '"'])('has a pair of %s around it removed, which docker --env-file keeps', (quote) => {
    const plain = {
      ...GOOD,
      PORT: '4000',
      NODE_ENV: 'production',
      LOG_LEVEL: 'debug',
      RETRY_POLICY_FILE: 'p.json',
    }
    const quoted = Object.fromEntries(
      Object.entries(plain).map(([name, value]) => [name, ` ${quote}${value}${quote}\r`]),
    )
    expect(parseConfig(quoted, EVERYTHING)).toEqual(parseConfig(plain, EVERYTHING))
    expect(parseConfig({ DASHBOARD_PASSWORD: quote + quote, PORT: quote + quote }, [])).toEqual(
      parseConfig({}, []),
    )
  })

  test.each(FREE)('around %s, which may hold quotes, the pair is refused', (name) => {
    const both = { ...GOOD, DASHBOARD_USERNAME: 'operator', DASHBOARD_PASSWORD: 'hush' }
    expect(faultsOf({ ...both, [name]: '"hush"' })).toMatch(
      new RegExp(`^  ${name} begins and ends with a quote`, 'm'),
    )
    expect(faultsOf({ ...both, [name]: 'a"hush"' })).toBe('')
  })

  test('that is a URL object counts as its text', () => {
    const env = { PUBLIC_BASE_URL: new URL('https://sms.example.com') as unknown as string }
    expect(parseConfig(env, []).publicBaseUrl).toBe('https://sms.example.com')
  })

  test('of DATABASE_URL that is rejected says why', () => {
    expect(faultsOf({ ...GOOD, DATABASE_URL: 'postgres://app:hunter2@one,two/app' })).toMatch(
      /^ {2}DATABASE_URL names several hosts: one host is supported/m,
    )
  })
})

describe('the configuration', () => {
  test('treats an empty or blank string as unset', () => {
    const blank = Object.fromEntries(ENV_NAMES.map((name, i) => [name, i % 2 === 0 ? '' : '  ']))
    expect(parseConfig(blank, [])).toEqual(parseConfig({}, []))
    expect(faultsOf(blank)).toBe(faultsOf({}))
  })

  test('has defaults', () => {
    expect(parseConfig(GOOD, EVERYTHING)).toMatchObject({
      database: { url: GOOD['DATABASE_URL'], ssl: null, poolMax: 5 },
      twilio: {
        accountSid: GOOD['TWILIO_ACCOUNT_SID'],
        authTokens: [GOOD['TWILIO_AUTH_TOKEN']],
        apiKey: null,
        fromNumber: '+15551234567',
        messagingServiceSid: null,
        apiBaseUrl: null,
      },
      publicBaseUrl: 'https://sms.example.com',
      port: 3000,
      host: '0.0.0.0',
      retryPolicyFile: null,
      retryDelayScale: 1,
      sendWindow: { hours: null, timeZone: 'recipient', fallbackTimeZone: null },
      recipientAllowlist: null,
      logLevel: 'info',
      logFormat: 'text',
    })
    expect(parseConfig({ NODE_ENV: 'production' }, []).logFormat).toBe('json')
  })

  test('depends only on the given environment and our names', () => {
    expect(parseConfig({ ...GOOD, PATH: '/bin', TWILIO_TOKEN: 'x', toString: 'x' }, EVERYTHING)).toEqual(
      parseConfig(GOOD, EVERYTHING),
    )
  })

  test('has several auth tokens as an array, in order and trimmed', () => {
    const tokens = ['a'.repeat(32), 'b'.repeat(32)]
    const { twilio } = parseConfig({ ...GOOD, TWILIO_AUTH_TOKEN: ` ${tokens.join(' , ')} ` }, EVERYTHING)
    expect(twilio.authTokens).toEqual(tokens)
  })

  test('has the base URL without a slash at the end', () => {
    const { publicBaseUrl } = parseConfig({ PUBLIC_BASE_URL: 'https://sms.example.com/base//' }, [])
    expect(publicBaseUrl).toBe('https://sms.example.com/base')
  })

  test('is frozen, including its sections', () => {
    const config = parseConfig(GOOD, EVERYTHING)
    expect([config, config.database, config.twilio].map((part) => Object.isFrozen(part))).toEqual([
      true,
      true,
      true,
    ])
  })
})
