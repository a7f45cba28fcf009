// Use case: is everything as it must be, from the settings to the callback that comes back? Each check finds one thing
// out and says how to fix it; what cannot be found out because of something else is skipped. Nothing is changed.
import { type Config, type ConfigFault, type Env, type EnvName, readConfig } from '../config/config.ts'
import { openDatabase } from '../postgres/pool.ts'
import { examineConfiguration } from './configuration.ts'
import { examineClock, examineDatabase, examineServer, examineTls } from './database.ts'
import { examineEndpoint, examineSignature } from './endpoint.ts'
import { type Examine, failed, type Finding, type CheckContext, skipped } from './finding.ts'
import {
  examineBacklog,
  examineIndexes,
  examineMigrations,
  examineQueue,
  examineTable,
  examineWorker,
} from './schema.ts'
import { examineSettings } from './server-settings.ts'
import { examineAccount, examineApiKey } from './twilio-account.ts'
import { DatabaseError } from '../shared/errors.ts'

interface Check {
  readonly name: string
  readonly examine: Examine
  /** Settings without which it makes no sense. */
  readonly settings?: readonly EnvName[]
  /** The check that must not have failed. */
  readonly after?: CheckName
}

const CHECKS = [
  { name: 'configuration', examine: examineConfiguration },
  { name: 'database', examine: examineDatabase, settings: ['DATABASE_URL', 'DATABASE_SSL'] },
  { name: 'server', examine: examineServer, after: 'database' },
  { name: 'settings', examine: examineSettings, after: 'database' },
  { name: 'tls', examine: examineTls, after: 'database' },
  { name: 'clock', examine: examineClock, after: 'database' },
  { name: 'migrations', examine: examineMigrations, after: 'database' },
  { name: 'table', examine: examineTable, after: 'database' },
  { name: 'indexes', examine: examineIndexes, after: 'table' },
  { name: 'queue', examine: examineQueue, after: 'database' },
  { name: 'backlog', examine: examineBacklog, after: 'migrations' },
  { name: 'worker', examine: examineWorker, after: 'migrations' },
  {
    name: 'account',
    examine: examineAccount,
    settings: ['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN', 'TWILIO_API_BASE_URL'],
  },
  {
    name: 'api-key',
    examine: examineApiKey,
    settings: ['TWILIO_ACCOUNT_SID', 'TWILIO_API_KEY_SID', 'TWILIO_API_KEY_SECRET', 'TWILIO_API_BASE_URL'],
  },
  {
    name: 'endpoint',
    examine: examineEndpoint,
    settings: ['PUBLIC_BASE_URL', 'TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN'],
  },
  { name: 'signature', examine: examineSignature, after: 'endpoint' },
] as const

type CheckName = (typeof CHECKS)[number]['name']

/** A check may find several things. */
export interface NamedFinding extends Finding {
  readonly name: CheckName
}

export interface DoctorOptions {
  /** Longer than Twilio's lockWait for one try would say nothing. */
  readonly endpointTimeoutMs?: number
}

const ENDPOINT_TIMEOUT_MS = 10_000

/** Yields what it finds as it goes, in the order of the checks. */
export async function* examineAll(env: Env, options: DoctorOptions = {}): AsyncGenerator<NamedFinding> {
  const { config, faults } = readConfig(env, [
    'DATABASE_URL',
    'PUBLIC_BASE_URL',
    'TWILIO_ACCOUNT_SID',
    'TWILIO_AUTH_TOKEN',
    'sender',
  ])
  const { endpointTimeoutMs = ENDPOINT_TIMEOUT_MS } = options
  const database = openDatabase(databaseOf(config), () => undefined)
  const context: CheckContext = { config, faults, database, endpointTimeoutMs }
  const bad = new Set<string>()
  try {
    for (const check of CHECKS) {
      const why = whyNot(check, faults, bad)
      const found = why === null ? await examine(check, context) : [skipped(why)]
      if (found.some(({ result }) => result === 'failed' || result === 'skipped')) bad.add(check.name)
      for (const finding of found) yield { name: check.name, ...finding }
    }
  } finally {
    await database.close()
  }
}

/** One connection is enough, and may be the last one that is left. Without a URL nothing connects. */
function databaseOf({ database }: Config): Config['database'] {
  return { ...database, poolMax: 1, ssl: database.url === '' ? null : database.ssl }
}

function whyNot(
  { settings = [], after }: Check,
  faults: readonly ConfigFault[],
  bad: ReadonlySet<string>,
): string | null {
  const unusable = settings.filter((name) => faults.some(({ names }) => names.includes(name)))
  if (unusable.length > 0) return `Not looked at without ${unusable.join(', ')}`
  return after !== undefined && bad.has(after) ? `Not looked at: see ${after}` : null
}

async function examine({ examine }: Check, context: CheckContext): Promise<readonly Finding[]> {
  try {
    return await examine(context)
  } catch (error) {
    // It was there a moment ago, or this role may not read what the check reads.
    if (!(error instanceof DatabaseError)) throw error
    return [failed(error.message, 'See whether the database is still there, and what its user may read.')]
  }
}
