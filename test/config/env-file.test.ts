// Tests the file .env: its values are read as a person sees them, or it is rejected by line and name, never by value.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readEnvFile, requireOwnDestinations } from '../../src/config/env-file.ts'
import { ConfigError } from '../../src/shared/errors.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sms-retry-env-file-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function readText(text: string | Buffer): Promise<NodeJS.Dict<string>> {
  const path = join(folder, '.env')
  await writeFile(path, text)
  return readEnvFile(path)
}

describe('the file .env is read with', () => {
  test.each<[string, string | Buffer, NodeJS.Dict<string>]>([
    ['a byte order mark', '\uFEFFPORT=1\nHOST=::', { PORT: '1', HOST: '::' }],
    ['UTF-16', Buffer.from('\uFEFFPORT=1\r\nHOST=::', 'utf16le'), { PORT: '1', HOST: '::' }],
    ['line ends of Windows', 'PORT=1\r\nHOST=::\r\n', { PORT: '1', HOST: '::' }],
    ['line ends of an old Mac', 'PORT=1\rHOST=::', { PORT: '1', HOST: '::' }],
    ['quotes around a #', 'DASHBOARD_PASSWORD="ab#cd"', { DASHBOARD_PASSWORD: 'ab#cd' }],
    ['a comment after a value', 'PORT=1 # the port\nHOST=:: #', { PORT: '1', HOST: '::' }],
    ['a comment instead of a value', 'PORT=# none yet', { PORT: '' }],
    ['a # in a name that is not ours', 'COLOR=a#fff', { COLOR: 'a' }],
    ['a name of another program with a hidden character', 'COLO\u200BR=1', { 'COLO\u200BR': '1' }],
  ])('%s', async (_what, text, values) => {
    expect(await readText(text)).toEqual(values)
  })

  test('no file at all', () => {
    expect(readEnvFile(join(folder, 'nothing'))).toEqual({})
  })
})

describe('the file .env is rejected with', () => {
  test.each<[string, string | Buffer, RegExp]>([
    [
      'a value that its # cuts off',
      '# x\nDASHBOARD_PASSWORD=hush#hush',
      /line 2: DASHBOARD_PASSWORD ends before its #/,
    ],
    [
      'the same in a URL',
      'export DATABASE_URL=postgres://u:hush#h@h/d',
      /line 1: DATABASE_URL ends before its #/,
    ],
    ['the same with spaces', ' PORT = hush#', /line 1: PORT ends before its #/],
    ['an invisible character in a name', 'PORT\u00A0=hush', /name PORT has U\+00A0 NO-BREAK SPACE/],
    ['a byte order mark in the middle', 'HOST=::\n\uFEFFPORT=hush', /name PORT has U\+FEFF/],
    ['Latin-1', Buffer.from('HOST=hush-é', 'latin1'), /cannot be read: it is neither UTF-8 nor UTF-16/],
  ])('%s', async (_what, text, fault) => {
    const error: unknown = await readText(text).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).message).toMatch(fault)
    expect((error as ConfigError).message).not.toContain('hush')
  })
})

describe('the destination of credentials from the environment', () => {
  const TWILIO = { TWILIO_AUTH_TOKEN: 'hush' }
  const KEY = { TWILIO_API_KEY_SECRET: 'hush' }
  const URL_OF_DATABASE = { DATABASE_URL: 'postgres:///app?user=app&password=hush' }
  const PASSWORD = { PGPASSWORD: 'hush' }

  test.each<[name: string, value: string, environment: Record<string, string>]>([
    ['TWILIO_API_BASE_URL', 'https://elsewhere.invalid', TWILIO],
    ['TWILIO_API_BASE_URL', 'https://elsewhere.invalid', KEY],
    ['TWILIO_EDGE', 'elsewhere.invalid/', TWILIO],
    ['TWILIO_REGION', 'elsewhere.invalid/', TWILIO],
    ['HTTPS_PROXY', 'http://elsewhere.invalid', TWILIO],
    ['https_proxy', 'http://elsewhere.invalid', { ...TWILIO, HTTPS_PROXY: 'http://proxy.example.com' }],
    ['HTTP_PROXY', 'http://elsewhere.invalid', TWILIO],
    ['http_proxy', 'http://elsewhere.invalid', TWILIO],
    ['ALL_PROXY', 'http://elsewhere.invalid', TWILIO],
    ['all_proxy', 'http://elsewhere.invalid', TWILIO],
    ['TWILIO_CA_BUNDLE', './elsewhere.pem', TWILIO],
    ['NODE_TLS_REJECT_UNAUTHORIZED', '0', TWILIO],
    ['NODE_TLS_REJECT_UNAUTHORIZED', '0', URL_OF_DATABASE],
    ['PGHOST', 'elsewhere.invalid', URL_OF_DATABASE],
    ['PGPORT', '6543', URL_OF_DATABASE],
    ['PGSSLMODE', 'disable', URL_OF_DATABASE],
    ['DATABASE_SSL', 'disable', URL_OF_DATABASE],
    ['PGHOST', 'elsewhere.invalid', PASSWORD],
    ['DATABASE_URL', 'postgres://app@elsewhere.invalid/app', PASSWORD],
  ])('is protected: %s=%s in .env is rejected beside %j', (name, value, environment) => {
    const refuse = (): void => requireOwnDestinations(environment, { PORT: '1', [name]: value })
    expect(refuse).toThrow(ConfigError)
    expect(refuse).toThrow(`  ${name}: set in the environment as well, or put `)
    expect(refuse).not.toThrow(/hush|elsewhere/)
  })

  test.each<[what: string, environment: Record<string, string>, fromFile: Record<string, string>]>([
    ['.env has both', {}, { ...TWILIO, TWILIO_API_BASE_URL: 'http://127.0.0.1:4010' }],
    ['the environment names the destination', { ...TWILIO, PGHOST: 'a' }, { PGHOST: 'b', TWILIO_EDGE: '' }],
    [
      'the destination belongs to other credentials',
      PASSWORD,
      { TWILIO_API_BASE_URL: 'http://127.0.0.1:4010' },
    ],
    ['the credential has no value', { TWILIO_AUTH_TOKEN: '' }, { HTTPS_PROXY: 'http://proxy.example.com' }],
    [
      'the names of .env say nothing of it',
      { ...TWILIO, ...PASSWORD },
      { PORT: '1', TWILIO_ACCOUNT_SID: 'x' },
    ],
  ])('is unchanged, so .env is accepted, if %s', (_what, environment, fromFile) => {
    expect(() => requireOwnDestinations(environment, fromFile)).not.toThrow()
  })
})
