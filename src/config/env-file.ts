// Reads the file .env of the current folder, as Heroku's local runner does. config.ts parses the values.
import { statSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { type Env, envNames } from './config.ts'
import { ConfigError } from '../shared/errors.ts'
import { describeUnusual, withoutUnusual } from '../shared/hidden-characters.ts'
import { readTextFile } from '../shared/text-file.ts'

/**
 * The names and values of the file; none if it does not exist, or is a folder (a Python environment).
 *
 * @throws ConfigError if it cannot be read, or if one of our names or values is not what a person sees in the file
 */
export function readEnvFile(path: string): NodeJS.Dict<string> {
  const text = readIfFile(path).replace(/\r\n?/g, '\n')
  const values = parseEnv(text)
  const faults = [...Object.keys(values).flatMap(faultOfName), ...text.split('\n').flatMap(faultOfLine)]
  if (faults.length > 0) throw new ConfigError(`The file .env is not valid:\n  ${faults.join('\n  ')}`)
  return values
}

function readIfFile(path: string): string {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false ? readTextFile(path) : ''
  } catch (error) {
    throw new ConfigError(`The file .env cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

function faultOfName(name: string): string[] {
  const meant = withoutUnusual(name)
  if (meant === name || !isOurs(meant)) return []
  return [`the name ${meant} has ${describeUnusual(name)}: type the name again`]
}

/** In an unquoted value, # begins a comment: a password with a # would be cut off there. */
function faultOfLine(line: string, index: number): string[] {
  const [, name] = /^\s*(?:export\s+)?(\w+)\s*=\s*(?!["'`])[^\s#][^#]*(?<!\s)#/.exec(line) ?? []
  if (name === undefined || !isOurs(name)) return []
  return [
    `line ${index + 1}: ${name} ends before its #, which begins a comment. Quote the value, or put a space before the comment`,
  ]
}

const OF_TLS = ['NODE_TLS_REJECT_UNAUTHORIZED']

/** Credentials, and the settings that decide where they are sent. */
const DESTINATIONS: readonly {
  readonly credentials: readonly string[]
  readonly names: readonly string[]
}[] = [
  {
    credentials: ['TWILIO_AUTH_TOKEN', 'TWILIO_API_KEY_SECRET'],
    names: [
      'TWILIO_API_BASE_URL',
      // The twilio package puts these into the host name unchecked: a slash in them ends it.
      ...['TWILIO_EDGE', 'TWILIO_REGION'],
      ...['HTTPS_PROXY', 'HTTP_PROXY', 'ALL_PROXY'],
      'TWILIO_CA_BUNDLE',
      ...OF_TLS,
    ],
  },
  {
    credentials: ['DATABASE_URL', 'PGPASSWORD'],
    names: ['DATABASE_URL', 'PGHOST', 'PGPORT', 'DATABASE_SSL', 'PGSSLMODE', ...OF_TLS],
  },
]

/**
 * The .env of the current folder must not redirect credentials of the environment. (Node reads NODE_EXTRA_CA_CERTS and
 * NODE_OPTIONS before .env is read, so they have no effect in it.)
 *
 * @throws ConfigError if it does
 */
export function requireOwnDestinations(environment: Env, fromFile: Env): void {
  // A value of the environment overrides that of the file.
  const effective = Object.keys(fromFile).filter(
    (name) => !!fromFile[name] && environment[name] === undefined,
  )
  const faults = DESTINATIONS.flatMap(({ credentials, names }) => {
    const given = credentials.filter((name) => !!environment[name])
    // Proxy variables may be in lower case, and on Windows all variables may.
    const refused = effective.filter((name) => names.includes(name.toUpperCase()))
    if (given.length === 0 || refused.length === 0) return []
    return [`${refused.join(', ')}: set in the environment as well, or put ${given.join(', ')} into .env`]
  })
  if (faults.length === 0) return
  throw new ConfigError(
    `The file .env must not decide where credentials of the environment are sent:\n  ${faults.join('\n  ')}`,
  )
}

const isOurs = (name: string): boolean => envNames().some((ours) => ours === name)
