// Has PostgreSQL settings with which messages are lost or sent twice, and which no session of ours can set right?
import { readSettings } from '../db/inspect.ts'
import type { Db } from '../postgres/pool.ts'
import { reachesPeople } from './configuration.ts'
import { type Examine, failed, type Finding, ok, warning } from './finding.ts'

/** A setting that must have one of some values, or must not have one. */
interface Wanted {
  readonly name: string
  readonly isRight: (setting: string) => boolean
  /** What goes wrong otherwise. */
  readonly otherwise: string
  readonly fix: string
}

const is =
  (...values: readonly string[]) =>
  (setting: string): boolean =>
    values.includes(setting)

const SERVER = 'Set it on the server (postgresql.conf, or the provider), and reload.'
const OWNER = 'Reset it: alter database ... (or alter role ...) reset'
const POOLER =
  'A pooler drops or overrides what a transaction sets: use one in transaction or session mode, such as PgBouncer.'

/** What survives a crash. A database of the demo or of tests may be lost. */
const OF_DURABILITY: readonly Wanted[] = [
  {
    name: 'fsync',
    isRight: is('on'),
    otherwise: 'a crash of the machine loses claims, whose attempts are made twice, or damages the database',
    fix: SERVER,
  },
  {
    name: 'full_page_writes',
    isRight: is('on'),
    otherwise: 'a crash of the machine may damage the database',
    fix: SERVER,
  },
]

/** Only an owner can change them. */
const OF_SERVER: readonly Wanted[] = [
  {
    name: 'zero_damaged_pages',
    isRight: is('off'),
    otherwise: 'messages on a damaged page vanish without an error',
    fix: SERVER,
  },
  {
    name: 'session_replication_role',
    isRight: is('origin'),
    otherwise: "triggers and foreign keys of the app's have no effect on messages",
    fix: `${OWNER} session_replication_role.`,
  },
  {
    name: 'server_encoding',
    isRight: is('UTF8'),
    otherwise: 'a text with a character that it lacks, such as an emoji, cannot be sent',
    fix: 'Move to a database with the encoding UTF8.',
  },
]

/** As a transaction of ours has set them. */
const OF_TRANSACTION: readonly Wanted[] = [
  {
    name: 'transaction_isolation',
    isRight: is('read committed'),
    otherwise: 'messages that change at once fail by conflicts, and sends stay in doubt',
    fix: POOLER,
  },
  {
    name: 'synchronous_commit',
    isRight: is('on', 'remote_apply'),
    otherwise: 'a crash of the database loses claims, whose attempts are made twice',
    fix: POOLER,
  },
]

/** As our session has set them, for statements outside a transaction. */
const OF_SESSION: readonly Wanted[] = [
  {
    name: 'default_transaction_isolation',
    isRight: is('read committed'),
    otherwise: 'jobs and sweeps fail by conflicts, and are late',
    fix: 'Set it for the role in DATABASE_URL: alter role ... set default_transaction_isolation = ...',
  },
  {
    name: 'DateStyle',
    isRight: (setting) => setting.startsWith('ISO'),
    otherwise: 'times cannot be read',
    fix: 'Set it for the role in DATABASE_URL: alter role ... set datestyle = ISO.',
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
  const found: Finding[] = [
    ...[...ofServer, ...ofTransaction].map(([what, fix]) => failed(what, fix)),
    ...ofSession.map(([what, fix]) => warning(`${what}; a pooler has dropped our session's settings`, fix)),
  ]
  return found.length > 0 ? found : [ok('Its settings keep what was committed')]
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
