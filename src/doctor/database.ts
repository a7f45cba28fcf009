// Can the database be reached, and is it one that serves?
import { readServer } from '../db/inspect.ts'
import { DatabaseError } from '../shared/errors.ts'
import { type Examine, failed, type Finding, ok, warning } from './finding.ts'
import { isPrivateHost } from './private-host.ts'

export const examineDatabase: Examine = async ({ database }) => {
  try {
    const { version } = await readServer(database)
    return [ok(`PostgreSQL ${version} can be reached`)]
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    return [unreachable(error)]
  }
}

function unreachable({ message, cause }: DatabaseError): Finding {
  const { code } = (cause ?? {}) as { code?: unknown }
  const sign = typeof code === 'string' ? code : message
  return failed(message, FIXES.find(([pattern]) => pattern.test(sign))?.[1] ?? FIX_OTHERWISE)
}

const FIX_OTHERWISE =
  'Check host, port and name in DATABASE_URL, that the server runs, and that this machine may connect to it.'

/** By the system's error codes and PostgreSQL's SQLSTATEs; a time-out has no code. */
const FIXES: readonly (readonly [code: RegExp, fix: string])[] = [
  [
    /^ENOENT$/,
    'Correct the path: of the socket, or of a certificate that DATABASE_URL names (sslrootcert, sslcert, sslkey).',
  ],
  [/^ECONNREFUSED$/, 'Start PostgreSQL, or correct host and port in DATABASE_URL.'],
  [/^(ENOTFOUND|EAI_AGAIN)$/, 'Correct the host in DATABASE_URL: its name cannot be resolved.'],
  [/^(28P01|28000)$/, 'Correct user and password in DATABASE_URL; pg_hba.conf must let this user in.'],
  [/^3D000$/, 'Create the database, or correct its name in DATABASE_URL.'],
  [/^53300$/, 'Too many connections: raise max_connections, or lower DATABASE_POOL_MAX.'],
  [/^57P03$/, 'The server is starting or stopping: wait a moment.'],
  [
    /CERT|^SELF_SIGNED|^UNABLE_TO|ssl|SSL/,
    'Set DATABASE_SSL: verify needs a certificate that Node trusts, require does not check it, disable is clear text.',
  ],
  [/timeout/, 'Nothing answers there: check host and port in DATABASE_URL, and any firewall on the way.'],
]

const OLDEST_MAJOR = 14

export const examineServer: Examine = async ({ database }) => {
  const { version, major, isReadOnly, isStandby } = await readServer(database)
  if (isStandby) {
    return [
      failed('The database cannot be written to: it is a standby', 'Set DATABASE_URL to the primary server.'),
    ]
  }
  if (isReadOnly) {
    return [
      failed(
        'The database cannot be written to: default_transaction_read_only is on',
        'Find out why: a provider sets it when the disk is full. Then reset it: alter database ... (or alter role ...) ' +
          'reset default_transaction_read_only.',
      ),
    ]
  }
  if (major < OLDEST_MAJOR) {
    return [
      warning(
        `PostgreSQL ${version} is no longer maintained`,
        `Upgrade to PostgreSQL ${OLDEST_MAJOR} or later.`,
      ),
    ]
  }
  return [ok('It can be written to')]
}

export const examineTls: Examine = async ({ database, config }) => {
  const { tls } = await readServer(database)
  if (tls !== null) return [ok(`The connection is encrypted (${tls})`)]
  const { hostname, searchParams } = new URL(config.database.url)
  if (isPrivateHost(searchParams.get('host') ?? hostname)) {
    return [ok('The connection is not encrypted; it stays in its own network')]
  }
  return [
    warning(
      'The connection to the database is not encrypted: texts and phone numbers travel in clear text',
      'Set DATABASE_SSL=verify, or require if the certificate cannot be checked.',
    ),
  ]
}

/** Less is lost among the delays of the network. */
const MAX_DIFFERENCE_SECONDS = 5

export const examineClock: Examine = async ({ database }) => {
  const beforeMs = Date.now()
  const { now } = await readServer(database)
  const oursMs = (beforeMs + Date.now()) / 2
  const seconds = (oursMs - now.getTime()) / 1000
  if (Math.abs(seconds) < MAX_DIFFERENCE_SECONDS) return [ok("This machine's clock is the database's")]
  const size = Math.round(Math.abs(seconds))
  return [
    warning(
      `This machine's clock is ${size} s ${seconds < 0 ? 'behind' : 'ahead of'} the database's`,
      "Let both keep time by NTP. Decisions go by the database's clock alone, but logs cannot be compared.",
    ),
  ]
}
