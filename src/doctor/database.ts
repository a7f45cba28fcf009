// Is the database reachable and writable, is the connection encrypted, and do the clocks match?
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
  if (typeof code !== 'string') return failed(message, FIX_WITHOUT_CODE)
  return failed(message, FIXES.find(([pattern]) => pattern.test(code))?.[1] ?? FIX_OTHERWISE)
}

const FIX_OTHERWISE =
  'Check host, port and database name in DATABASE_URL, that the server is running, and that this machine may connect.'

/** The driver gives no code for a time-out, nor for a server without TLS. */
const FIX_WITHOUT_CODE =
  'After a time-out, check host and port in DATABASE_URL, and firewalls. If the server does not support TLS, set ' +
  'DATABASE_SSL=disable.'

/** By error code: Node's for network, files and TLS, or PostgreSQL's SQLSTATE. */
const FIXES: readonly (readonly [code: RegExp, fix: string])[] = [
  [
    /^ENOENT$/,
    'Correct the path of the socket, or of a certificate that DATABASE_URL names (sslrootcert, sslcert, sslkey).',
  ],
  [/^ECONNREFUSED$/, 'Start PostgreSQL, or correct host and port in DATABASE_URL.'],
  [/^(ENOTFOUND|EAI_AGAIN)$/, 'Correct the host in DATABASE_URL: its name cannot be resolved.'],
  [/^ETIMEDOUT$/, 'Check host and port in DATABASE_URL, and firewalls.'],
  [/^(28P01|28000)$/, 'Correct user and password in DATABASE_URL. pg_hba.conf must allow this user.'],
  [/^3D000$/, 'Create the database, or correct its name in DATABASE_URL.'],
  [/^53300$/, 'There are too many connections. Raise max_connections, or lower DATABASE_POOL_MAX.'],
  [/^57P03$/, 'The server is starting or stopping. Wait a moment.'],
  [
    /CERT|^SELF_SIGNED|^UNABLE_TO|^ERR_SSL|^ERR_TLS|^EPROTO$/,
    'Set DATABASE_SSL to verify (the certificate must be trusted by Node), require (any certificate) or disable (no TLS).',
  ],
]

const OLDEST_MAJOR = 14

export const examineServer: Examine = async ({ database }) => {
  const { version, major, isReadOnly, isStandby } = await readServer(database)
  if (isStandby) {
    return [failed('The database is a read-only standby', 'Set DATABASE_URL to the primary server.')]
  }
  if (isReadOnly) {
    return [
      failed(
        'The database is read-only: default_transaction_read_only is on',
        'Find out who set it; providers do so when the disk is full. Then run: alter database ... (or alter role ...) ' +
          'reset default_transaction_read_only',
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
  return [ok('The database is writable')]
}

export const examineTls: Examine = async ({ database, config }) => {
  const { tls } = await readServer(database)
  if (tls !== null) return [ok(`The connection is encrypted (${tls})`)]
  const { hostname, searchParams } = new URL(config.database.url)
  if (isPrivateHost(searchParams.get('host') ?? hostname)) {
    return [ok('The connection is not encrypted, but stays within a private network')]
  }
  return [
    warning(
      'The connection to the database is not encrypted: texts and phone numbers can be read in transit',
      'Set DATABASE_SSL=verify, or require if the certificate cannot be verified.',
    ),
  ]
}

/** Smaller differences may come from network delays. */
const MAX_DIFFERENCE_SECONDS = 5

export const examineClock: Examine = async ({ database }) => {
  const beforeMs = Date.now()
  const { now } = await readServer(database)
  const oursMs = (beforeMs + Date.now()) / 2
  const seconds = (oursMs - now.getTime()) / 1000
  if (Math.abs(seconds) < MAX_DIFFERENCE_SECONDS) return [ok("This machine's clock matches the database's")]
  const difference = Math.round(Math.abs(seconds))
  return [
    warning(
      `This machine's clock is ${difference} s ${seconds < 0 ? 'behind' : 'ahead of'} the database's`,
      "Synchronize both clocks by NTP. sms-retry uses only the database's clock, but times in logs will differ.",
    ),
  ]
}
