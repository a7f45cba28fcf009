// Use case: checks an installation, from its settings to a signed callback to its public address. A finding says what is
// wrong and how to fix it. A check is skipped if it depends on a check that failed. Changes nothing.
import { type Config, type ConfigFault, type Env, type EnvName, readConfig } from '../config/config.ts'
import { SENDING_REQUIREMENTS } from '../processes/runtime.ts'
import { openDatabase } from '../postgres/pool.ts'
import { examineConfiguration } from './configuration.ts'
import { examineClock, examineDatabase, examineServer, examineTls } from './database.ts'
import { examineEndpoint, examineSignature } from './endpoint.ts'
import { type Examine, failed, type Finding, type CheckContext, skipped } from './finding.ts'
import { examineOutcomes } from './outcomes.ts'
import {
  examineBacklog,
  examineIndexes,
  examineMigrations,
  examineQueue,
  examineTable,
  examineWorker,
} from './schema.ts'
import { examineSending } from './sending.ts'
import { examineSettings } from './server-settings.ts'
import { examineAccount, examineApiKey } from './twilio-account.ts'
import { DatabaseError } from '../shared/errors.ts'

interface Check {
  readonly name: string
  readonly examine: Examine
  /** The check is skipped if one of these settings is missing or invalid. */
  readonly settings?: readonly EnvName[]
  /** The check is skipped if this one failed or was skipped. */
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
  { name: 'sending', examine: examineSending, after: 'migrations' },
  { name: 'backlog', examine: examineBacklog, after: 'migrations' },
  { name: 'worker', examine: examineWorker, after: 'migrations' },
  { name: 'outcomes', examine: examineOutcomes, after: 'queue' },
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

/** One check can have several findings. */
export interface NamedFinding extends Finding {
  readonly name: CheckName
}

export interface DoctorOptions {
  /** Twilio waits 15 seconds; a longer time-out would accept an endpoint that is too slow. */
  readonly endpointTimeoutMs?: number
}

const ENDPOINT_TIMEOUT_MS = 10_000

/** Yields each finding as soon as it is made, in the order of the checks. */
export async function* examineAll(env: Env, options: DoctorOptions = {}): AsyncGenerator<NamedFinding> {
  const { config, faults } = readConfig(env, SENDING_REQUIREMENTS)
  const { endpointTimeoutMs = ENDPOINT_TIMEOUT_MS } = options
  const database = openDatabase(databaseOf(config), () => undefined)
  const context: CheckContext = { config, faults, database, endpointTimeoutMs }
  const notPassed = new Set<string>()
  try {
    for (const check of CHECKS) {
      const reason = skipReason(check, faults, notPassed)
      const findings = reason === null ? await runCheck(check, context) : [skipped(reason)]
      if (findings.some(({ result }) => result === 'failed' || result === 'skipped'))
        notPassed.add(check.name)
      for (const finding of findings) yield { name: check.name, ...finding }
    }
  } finally {
    await database.close()
  }
}

/** One connection is enough, and leaves the others to the app. */
function databaseOf({ database }: Config): Config['database'] {
  return { ...database, poolMax: 1 }
}

function skipReason(
  { settings = [], after }: Check,
  faults: readonly ConfigFault[],
  notPassed: ReadonlySet<string>,
): string | null {
  const invalid = settings.filter((name) => faults.some(({ names }) => names.includes(name)))
  if (invalid.length > 0) return `Not checked: needs ${invalid.join(', ')}`
  return after !== undefined && notPassed.has(after) ? `Not checked: the check ${after} did not pass` : null
}

async function runCheck({ examine }: Check, context: CheckContext): Promise<readonly Finding[]> {
  try {
    return await examine(context)
  } catch (error) {
    // The connection broke after the first check, or the role may not read a table.
    if (!(error instanceof DatabaseError)) throw error
    return [
      failed(
        error.message,
        'Check that the database is still reachable, and that its user may read the tables.',
      ),
    ]
  }
}
