// Parses a DATABASE_URL as people paste it: normalizes it for pg, or rejects it and says what to change. No message contains
// a part of the URL, except the names of its parameters.

/** The parameters that the driver or sms-retry honours, with their valid values. */
const HONOURED: ReadonlyMap<string, { readonly pattern: RegExp; readonly values: string }> = new Map([
  ...[
    ...['user', 'password', 'host', 'port', 'options', 'application_name', 'fallback_application_name'],
    ...['statement_timeout', 'idle_in_transaction_session_timeout', 'sslcert', 'sslkey', 'sslrootcert'],
  ].map((name) => [name, { pattern: /./s, values: 'not empty' }] as const),
  ['client_encoding', { pattern: /^utf-?8$/i, values: 'utf8' }],
  ['connect_timeout', { pattern: /^[1-9]\d{0,3}$/, values: 'a number of seconds from 1 to 9999' }],
  // PostgreSQL truncates longer names.
  ['schema', { pattern: /^.{1,63}$/s, values: 'the name of one schema, at most 63 characters' }],
  ['ssl', { pattern: /^(true|1|0|no-verify)$/, values: 'true, 1, 0 or no-verify' }],
  [
    'sslmode',
    {
      pattern: /^(disable|prefer|require|verify-ca|verify-full|no-verify)$/,
      values: 'disable, prefer, require, verify-ca, verify-full or no-verify',
    },
  ],
  ['sslnegotiation', { pattern: /^(postgres|direct)$/, values: 'postgres or direct' }],
  ['uselibpqcompat', { pattern: /^(true|false)$/, values: 'true or false' }],
])

const ONE_HOST =
  'one host is supported. For failover, use a DNS record that changes, a pooler or a virtual address'

/** What to use instead of parameters of other drivers and ORMs. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  ...['connection_limit', 'max', 'pool_max', 'pool_size', 'pool_max_conns'].map(
    (name) => [name, 'set DATABASE_POOL_MAX'] as const,
  ),
  ...['search_path', 'currentSchema', 'currentschema'].map((name) => [name, 'write schema='] as const),
  ...['database', 'dbname', 'db'].map((name) => [name, 'name the database after the host: /app'] as const),
  ...['sslaccept', 'sslpassword', 'sslidentity'].map(
    (name) => [name, 'set DATABASE_SSL, or sslmode, sslrootcert, sslcert and sslkey'] as const,
  ),
  ...['target_session_attrs', 'load_balance_hosts', 'targetServerType', 'hostaddr', 'hostorder'].map(
    (name) => [name, `remove it; ${ONE_HOST}`] as const,
  ),
  ...['lock_timeout', 'query_timeout', 'socket_timeout', 'pool_timeout'].map(
    (name) => [name, 'remove it; sms-retry sets its own time-outs'] as const,
  ),
  ...['timezone', 'TimeZone'].map((name) => [name, 'remove it; every session is in UTC'] as const),
  ['pgbouncer', 'remove it; PgBouncer works without it'],
])

const EXAMPLE = 'postgres://user:password@localhost:5432/app'

export type DatabaseUrl = { readonly url: string } | { readonly fault: string }

/** A fault continues after the name of the setting: `has the parameter ...`. */
export function readDatabaseUrl(text: string): DatabaseUrl {
  const [, scheme, authority = '', rest = ''] = /^(postgres(?:ql)?:\/\/)([^/?#]*)(.*)$/is.exec(text) ?? []
  if (scheme === undefined) {
    const hasMore = /postgres(ql)?:\/\//i.test(text)
    return {
      fault: `must be a PostgreSQL URL such as ${EXAMPLE}${hasMore ? '; delete the text before it' : ''}`,
    }
  }
  const url = parse(withHost(scheme + authority + rest))
  const faults = url === null ? [] : faultsOfParameters(url)
  if (isCutOff(authority, rest, url) || (/^[?].*@/.test(rest) && faults.length > 0))
    return { fault: cutOff(authority, rest) }
  if (hostsOf(authority, url).some((host) => host.includes(',')))
    return { fault: `names several hosts: ${ONE_HOST}` }
  if (url === null) {
    return { fault: `must be a PostgreSQL URL such as ${EXAMPLE}, with a port from 0 to 65535. ${ESCAPES}` }
  }
  if (url.hash !== '' || rest.includes('#'))
    return { fault: `has a part after #, which would be ignored. ${ESCAPES}` }
  const undecodable = [
    ['user', url.username],
    ['password', url.password],
    ["database's name", url.pathname],
  ].find(([, part = '']) => !isDecodable(part))
  if (undecodable !== undefined) {
    return {
      fault: `has a % in the ${undecodable[0]} that begins no valid escape: write the % itself as %25`,
    }
  }
  if (faults.length > 0) return { fault: faults.join('; ') }
  return { url: url.href }
}

const ESCAPES =
  'In the user, password and database name, write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A and % as %25'

/** Escapes a bare %: with one in the URL, pg does not decode some of the other escapes. */
function parse(text: string): URL | null {
  const escaped = text.replace(/%(?![0-9a-f]{2})/gi, '%25')
  return URL.canParse(escaped) ? new URL(escaped) : null
}

/**
 * PostgreSQL allows a URL with the host in a parameter only, as for Cloud SQL (`user@/app?host=/cloudsql/…`). Node's URL
 * requires a host after a user, so one is inserted; pg prefers the parameter.
 */
function withHost(text: string): string {
  return text.replace(/^(postgres(?:ql)?:\/\/[^/?#]*@)(?=\/[^?]*\?(.*&)?host=)/i, '$1localhost')
}

/**
 * True if an unescaped #, / or ? in the user or password ends them too early: then the @ that belongs before the host is in
 * the rest. An @ in the parameters may also belong to a user or password there.
 */
function isCutOff(authority: string, rest: string, url: URL | null): boolean {
  const [path = '', ...query] = rest.split('?')
  if (path.includes('@')) return true
  if (!query.join('?').includes('@')) return false
  const isInQuery = url?.searchParams.has('user') === true || url?.searchParams.has('password') === true
  return !authority.includes('@') && !isInQuery
}

function cutOff(authority: string, rest: string): string {
  const [end = ''] = rest
  const part = authority.includes(':') ? 'password' : 'user'
  return `has an unescaped ${end} in the ${part}: write ${encodeURIComponent(end)}. ${ESCAPES}`
}

function hostsOf(authority: string, url: URL | null): string[] {
  const own = authority.slice(authority.lastIndexOf('@') + 1)
  return [own, ...['host', 'port'].flatMap((name) => url?.searchParams.getAll(name) ?? [])]
}

function faultsOfParameters({ searchParams }: URL): string[] {
  return [...new Set(searchParams.keys())].flatMap((name) => {
    const values = searchParams.getAll(name)
    const honoured = HONOURED.get(name)
    if (honoured === undefined)
      return [`has the parameter ${name}, which would be ignored: ${INSTEAD.get(name) ?? 'remove it'}`]
    if (values.length > 1) return [`has the parameter ${name} more than once`]
    if (honoured.pattern.test(values[0] ?? '')) return []
    return [`has the parameter ${name} with an invalid value: it must be ${honoured.values}`]
  })
}

function isDecodable(part: string): boolean {
  try {
    decodeURIComponent(part)
    return true
  } catch {
    // A URIError is the only error that it throws.
    return false
  }
}
