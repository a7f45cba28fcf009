// Does PostgreSQL have settings that lose messages or send them twice, and that our sessions cannot override?
import { readSettings } from '../db/inspect.ts'
import type { Db } from '../postgres/pool.ts'
import { reachesPeople } from './configuration.ts'
import { type Examine, failed, type Finding, ok, warning } from './finding.ts'

/** A setting on whose value we depend. */
interface RequiredSetting {
  readonly name: string
  readonly isRight: (setting: string) => boolean
  /** What goes wrong with another value. */
  readonly consequence: string
  readonly fix: string
}

const is =
  (...values: readonly string[]) =>
  (setting: string): boolean =>
    values.includes(setting)

const FIX_ON_SERVER = 'Change it on the server (postgresql.conf, or at the provider), and reload.'
const FIX_BY_RESET = 'Run: alter database ... (or alter role ...) reset'
const FIX_POOLER =
  'A connection pooler drops or overrides the settings of a transaction. Use PgBouncer in transaction or session mode, or another pooler with such a mode.'

/** Durability after a crash. The demo and the tests turn these off. */
const DURABILITY_SETTINGS: readonly RequiredSetting[] = [
  {
    name: 'fsync',
    isRight: is('on'),
    consequence: 'after a crash of the machine, attempts may be sent twice, or the database may be damaged',
    fix: FIX_ON_SERVER,
  },
  {
    name: 'full_page_writes',
    isRight: is('on'),
    consequence: 'after a crash of the machine, the database may be damaged',
    fix: FIX_ON_SERVER,
  },
]

/** Our sessions cannot change these. */
const SERVER_SETTINGS: readonly RequiredSetting[] = [
  {
    name: 'zero_damaged_pages',
    isRight: is('off'),
    consequence: 'messages on a damaged page disappear without an error',
    fix: FIX_ON_SERVER,
  },
  {
    name: 'session_replication_role',
    isRight: is('origin'),
    consequence: "the app's triggers and foreign keys are disabled",
    fix: `${FIX_BY_RESET} session_replication_role`,
  },
  {
    name: 'server_encoding',
    isRight: is('UTF8'),
    consequence: 'texts with characters outside this encoding, such as emoji, cannot be sent',
    fix: 'Use a database with the encoding UTF8.',
  },
]

/** Our transactions set these, but a connection pooler may override them. */
const TRANSACTION_SETTINGS: readonly RequiredSetting[] = [
  {
    name: 'transaction_isolation',
    isRight: is('read committed'),
    consequence: 'concurrent changes fail with conflicts, and sends stay in doubt',
    fix: FIX_POOLER,
  },
  {
    name: 'synchronous_commit',
    isRight: is('on', 'remote_apply'),
    consequence: 'after a crash of the database, attempts may be sent twice',
    fix: FIX_POOLER,
  },
]

/** Our sessions set these for statements outside transactions, but a connection pooler may drop them. */
const SESSION_SETTINGS: readonly RequiredSetting[] = [
  {
    name: 'default_transaction_isolation',
    isRight: is('read committed'),
    consequence: 'jobs and sweeps fail with conflicts and run late',
    fix: "Set it for the role of DATABASE_URL: alter role ... set default_transaction_isolation = 'read committed'",
  },
  {
    name: 'DateStyle',
    isRight: (setting) => setting.startsWith('ISO'),
    consequence: 'times cannot be parsed',
    fix: "Set it for the role of DATABASE_URL: alter role ... set datestyle = 'ISO'",
  },
]

export const examineSettings: Examine = async (context) => {
  const { database } = context
  const serverFaults = await settingFaults(
    database,
    reachesPeople(context) ? [...DURABILITY_SETTINGS, ...SERVER_SETTINGS] : SERVER_SETTINGS,
  )
  const transactionFaults = await database.transaction((tx) => settingFaults(tx, TRANSACTION_SETTINGS))
  const sessionFaults = await settingFaults(database, SESSION_SETTINGS)
  const findings: Finding[] = [
    ...[...serverFaults, ...transactionFaults].map(([what, fix]) => failed(what, fix)),
    ...sessionFaults.map(([what, fix]) =>
      warning(`${what}. A connection pooler dropped the settings of our session`, fix),
    ),
  ]
  return findings.length > 0 ? findings : [ok('The settings of PostgreSQL are safe')]
}

async function settingFaults(
  db: Db,
  required: readonly RequiredSetting[],
): Promise<(readonly [what: string, fix: string])[]> {
  const settings = await readSettings(
    db,
    required.map(({ name }) => name),
  )
  return required.flatMap(({ name, isRight, consequence, fix }) => {
    const setting = settings.get(name)
    return setting === undefined || isRight(setting)
      ? []
      : [[`${name} is ${setting}: ${consequence}`, fix] as const]
  })
}
