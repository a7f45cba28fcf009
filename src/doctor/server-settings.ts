// Does PostgreSQL have settings that lose messages or send them twice, and that our sessions cannot override?
import { readSettings } from '../db/inspect.ts'
import type { Db } from '../postgres/pool.ts'
import { reachesPeople } from './configuration.ts'
import { type Examine, failed, type Finding, ok, warning } from './finding.ts'

/** A setting whose value we depend on. */
interface Wanted {
  readonly name: string
  readonly isRight: (setting: string) => boolean
  /** What goes wrong with another value. */
  readonly otherwise: string
  readonly fix: string
}

const is =
  (...values: readonly string[]) =>
  (setting: string): boolean =>
    values.includes(setting)

const SERVER = 'Change it on the server (postgresql.conf, or at the provider), and reload.'
const OWNER = 'Run: alter database ... (or alter role ...) reset'
const POOLER =
  'A connection pooler drops or overrides the settings of a transaction. Use PgBouncer in transaction or session mode, or another pooler with such a mode.'

/** Durability after a crash. The demo and tests do without it. */
const OF_DURABILITY: readonly Wanted[] = [
  {
    name: 'fsync',
    isRight: is('on'),
    otherwise: 'after a crash of the machine, attempts may be sent twice, or the database may be damaged',
    fix: SERVER,
  },
  {
    name: 'full_page_writes',
    isRight: is('on'),
    otherwise: 'after a crash of the machine, the database may be damaged',
    fix: SERVER,
  },
]

/** Our sessions cannot change these. */
const OF_SERVER: readonly Wanted[] = [
  {
    name: 'zero_damaged_pages',
    isRight: is('off'),
    otherwise: 'messages on a damaged page disappear without an error',
    fix: SERVER,
  },
  {
    name: 'session_replication_role',
    isRight: is('origin'),
    otherwise: "the app's triggers and foreign keys are disabled",
    fix: `${OWNER} session_replication_role`,
  },
  {
    name: 'server_encoding',
    isRight: is('UTF8'),
    otherwise: 'texts with characters outside this encoding, such as emoji, cannot be sent',
    fix: 'Use a database with the encoding UTF8.',
  },
]

/** Our transactions set these. */
const OF_TRANSACTION: readonly Wanted[] = [
  {
    name: 'transaction_isolation',
    isRight: is('read committed'),
    otherwise: 'concurrent changes fail with conflicts, and sends stay in doubt',
    fix: POOLER,
  },
  {
    name: 'synchronous_commit',
    isRight: is('on', 'remote_apply'),
    otherwise: 'after a crash of the database, attempts may be sent twice',
    fix: POOLER,
  },
]

/** Our sessions set these for statements outside transactions. */
const OF_SESSION: readonly Wanted[] = [
  {
    name: 'default_transaction_isolation',
    isRight: is('read committed'),
    otherwise: 'jobs and sweeps fail with conflicts and run late',
    fix: "Set it for the role of DATABASE_URL: alter role ... set default_transaction_isolation = 'read committed'",
  },
  {
    name: 'DateStyle',
    isRight: (setting) => setting.startsWith('ISO'),
    otherwise: 'times cannot be parsed',
    fix: "Set it for the role of DATABASE_URL: alter role ... set datestyle = 'ISO'",
  },
]

export const examineSettings: Examine = async (context) => {
  const { database } = context
  const ofServer = await faultsOf(
    database,
    reachesPeople(context) ? [...OF_DURABILITY, ...OF_SERVER] : OF_SERVER,
  )
  const ofTransaction = await database.transaction((tx) => faultsOf(tx, OF_TRANSACTION))
  const ofSession = await faultsOf(database, OF_SESSION)
  const findings: Finding[] = [
    ...[...ofServer, ...ofTransaction].map(([what, fix]) => failed(what, fix)),
    ...ofSession.map(([what, fix]) =>
      warning(`${what}. A connection pooler dropped the settings of our session`, fix),
    ),
  ]
  return findings.length > 0 ? findings : [ok('The settings of PostgreSQL are safe')]
}

async function faultsOf(
  db: Db,
  wanted: readonly Wanted[],
): Promise<(readonly [what: string, fix: string])[]> {
  const settings = await readSettings(
    db,
    wanted.map(({ name }) => name),
  )
  return wanted.flatMap(({ name, isRight, otherwise, fix }) => {
    const setting = settings.get(name)
    return setting === undefined || isRight(setting)
      ? []
      : [[`${name} is ${setting}: ${otherwise}`, fix] as const]
  })
}
