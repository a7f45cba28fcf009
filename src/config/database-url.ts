// A DATABASE_URL as people paste it: brought into the form that pg reads as it is meant, or refused with what to change.
// No sentence repeats a part of it, except the names of its parameters.

/** Parameters that the driver or this package honours, each with the values that it may have. */
const HONOURED: ReadonlyMap<string, { readonly pattern: RegExp; readonly values: string }> = new Map([
  ...[
    ...['user', 'password', 'host', 'port', 'options', 'application_name', 'fallback_application_name'],
    ...['statement_timeout', 'idle_in_transaction_session_timeout', 'sslcert', 'sslkey', 'sslrootcert'],
  ].map((name) => [name, { pattern: /./s, values: 'not empty' }] as const),
  ['client_encoding', { pattern: /^utf-?8$/i, values: 'utf8' }],
  // PostgreSQL cuts longer names off.
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
  'one host is supported. To fail over, name a DNS record that moves, a pooler or a virtual address'

/** What to do with those that other drivers and ORMs know. */
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
    (name) => [name, `leave it out; ${ONE_HOST}`] as const,
  ),
  ...['lock_timeout', 'query_timeout', 'connect_timeout', 'socket_timeout', 'pool_timeout'].map(
    (name) => [name, 'leave it out; sms-retry sets its own time-outs'] as const,
  ),
  ...['timezone', 'TimeZone'].map((name) => [name, 'leave it out; every session is in UTC'] as const),
  ['pgbouncer', 'leave it out; PgBouncer works without it'],
])

const EXAMPLE = 'postgres://user:password@localhost:5432/app'

export type DatabaseUrl = { readonly url: string } | { readonly fault: string }

/** A fault goes on from the setting's name: `has the parameter ...`. */
export function readDatabaseUrl(text: string): DatabaseUrl {
  const [, scheme, authority = '', rest = ''] = /^(postgres(?:ql)?:\/\/)([^/?#]*)(.*)$/is.exec(text) ?? []
  if (scheme === undefined) {
    const hasMore = /postgres(ql)?:\/\//i.test(text)
    return {
      fault: `must be a PostgreSQL URL such as ${EXAMPLE}${hasMore ? '; delete what comes before' : ''}`,
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
    return { fault: `has a part after #, which nothing reads. ${ESCAPES}` }
  const undecodable = [
    ['user', url.username],
    ['password', url.password],
    ["database's name", url.pathname],
  ].find(([, part = '']) => !isDecodable(part))
  if (undecodable !== undefined) {
    return {
      fault: `has a % in the ${undecodable[0]} that begins no escape of UTF-8: write the % itself as %25`,
    }
  }
  if (faults.length > 0) return { fault: faults.join('; ') }
  return { url: url.href }
}

const ESCAPES =
  'In user, password and name of the database, write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A and % as %25'

/** A bare % means itself; pg would otherwise leave some of the escapes beside it as they are. */
function parse(text: string): URL | null {
  const escaped = text.replace(/%(?![0-9a-f]{2})/gi, '%25')
  return URL.canParse(escaped) ? new URL(escaped) : null
}

/**
 * PostgreSQL's URLs may name the host among the parameters alone, as those of Cloud SQL do (`user@/app?host=/cloudsql/…`);
 * with a user, a URL of Node's must have one. The parameter wins over what is put in.
 */
function withHost(text: string): string {
  return text.replace(/^(postgres(?:ql)?:\/\/[^/?#]*@)(?=\/[^?]*\?(.*&)?host=)/i, '$1localhost')
}

/**
 * Whether #, / or ? ended user and password too early: what follows holds the @ that belongs before the host. In the
 * parameters, an @ is one of a user or a password that stands there.
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
  return `has a ${end} in the ${part}, which ends it there: write ${encodeURIComponent(end)}. ${ESCAPES}`
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
      return [`has the parameter ${name}, which would be ignored: ${INSTEAD.get(name) ?? 'leave it out'}`]
    if (values.length > 1) return [`has the parameter ${name} more than once`]
    if (honoured.pattern.test(values[0] ?? '')) return []
    return [`has the parameter ${name} with a value that nothing honours: it must be ${honoured.values}`]
  })
}

function isDecodable(part: string): boolean {
  try {
    decodeURIComponent(part)
    return true
  } catch {
    // The only thing that it throws.
    return false
  }
}
