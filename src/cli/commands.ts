// The commands that work on a database and its messages.
import { type Config, type Env, parseConfig } from '../config/config.ts'
import { findMessage, listMessages } from '../db/messages.ts'
import { type Database, openDatabase } from '../postgres/pool.ts'
import { createRetryPolicy } from '../delivery/retry-policy.ts'
import type { DeliveryStatus } from '../delivery/status.ts'
import { createSender } from '../index.ts'
import { Instance } from '../processes/instance.ts'
import { createLogger } from '../shared/log.ts'
import { migrate } from '../processes/migrate.ts'
import { planReconcile, reconcile } from '../messages/reconcile.ts'
import { openRuntime, readPolicyFile, recordingOf, startRuntimeQueue } from '../processes/runtime.ts'
import { createTwilioClient } from '../twilio/client.ts'
import { startWeb } from '../http/web.ts'
import { runWorker } from '../processes/worker.ts'
import { createCommandLogger } from './command-logger.ts'
import {
  listView,
  messageJson,
  plannedView,
  policyJson,
  policyView,
  reconciledView,
  showView,
} from './views.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { runUntilSignal } from '../processes/until-signal.ts'

export async function migrateCommand(env: Env): Promise<void> {
  const config = parseConfig(env, ['DATABASE_URL'])
  const applied = await migrate(
    config.database,
    createLogger({ level: config.logLevel, format: config.logFormat }),
  )
  printStatus(applied.length === 0 ? 'The schema is up to date.' : `Applied: ${applied.join(', ')}.`)
}

export async function webCommand(env: Env): Promise<void> {
  const runtime = openRuntime({}, env, [
    'DATABASE_URL',
    'PUBLIC_BASE_URL',
    'TWILIO_ACCOUNT_SID',
    'TWILIO_AUTH_TOKEN',
  ])
  const web = await startWeb(runtime)
  await runUntilSignal(() => web.stop(), runtime.logger)
}

const WORKER_REQUIREMENTS = [
  'DATABASE_URL',
  'PUBLIC_BASE_URL',
  'TWILIO_ACCOUNT_SID',
  'TWILIO_AUTH_TOKEN',
  'sender',
] as const

export async function workerCommand(env: Env): Promise<void> {
  const runtime = openRuntime({}, env, WORKER_REQUIREMENTS)
  const worker = await runWorker(runtime)
  await runUntilSignal(() => worker.stop(), runtime.logger)
}

export interface SendFlags {
  readonly to: string
  readonly body: string
  readonly user: number
  readonly key?: string
  readonly validFor?: number
  readonly json?: true
}

/** @returns false if the message failed for good */
export async function sendCommand(env: Env, flags: SendFlags): Promise<boolean> {
  const logger = createCommandLogger(env)
  const sender = await createSender({ logger })
  try {
    const result = await sender.send({
      userId: flags.user,
      to: flags.to,
      body: flags.body,
      idempotencyKey: flags.key,
      validForSeconds: flags.validFor,
    })
    if (flags.json) printJson(result)
    else
      print(
        [`message ${result.id}: ${result.status}`, result.sid, result.errorCode].filter(Boolean).join(' '),
      )
    return result.status !== 'failed'
  } finally {
    await sender.close()
  }
}

export async function listCommand(
  env: Env,
  flags: { readonly status?: DeliveryStatus; readonly limit: number; readonly json?: true },
): Promise<void> {
  const messages = await withDatabase(env, (database) =>
    listMessages(database, flags.status ?? null, flags.limit),
  )
  if (flags.json) printJson(messages.map(messageJson))
  else if (messages.length > 0) print(listView(messages, new Date()))
  else printStatus('No messages.')
}

/** @returns false if there is no such message */
export async function showCommand(
  env: Env,
  id: number,
  flags: { readonly showContent?: true; readonly json?: true },
): Promise<boolean> {
  const message = await withDatabase(env, (database) => findMessage(database, id))
  if (message === null) {
    printStatus(`There is no message ${id}.`)
    return false
  }
  const { json, showContent = false } = flags
  if (json) printJson(messageJson(message))
  else print(showView(message, showContent))
  return true
}

/** At most so many are listed by a dry run. */
const MAX_PLANNED = 1000

/** @returns false if Twilio could not be asked about some messages, or its answers not be recorded */
export async function reconcileCommand(
  env: Env,
  flags: { readonly dryRun?: true; readonly json?: true },
): Promise<boolean> {
  const logger = createCommandLogger(env)
  const runtime = openRuntime({ logger }, env, flags.dryRun ? ['DATABASE_URL'] : WORKER_REQUIREMENTS)
  const { config, database, policy } = runtime
  if (flags.dryRun) {
    const planned = await planReconcile({ database, policy }, MAX_PLANNED).finally(() => database.close())
    if (flags.json) printJson(planned)
    else if (planned.length > 0) print(plannedView(planned))
    else printStatus('No message is overdue.')
    if (planned.length === MAX_PLANNED) printStatus(`Only the first ${MAX_PLANNED} are listed.`)
    return true
  }
  const queue = await startRuntimeQueue(runtime, 'schedule')
  const instance = new Instance(runtime, 'sender')
  await instance.start()
  try {
    const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
    const sum = await reconcile({ ...recordingOf(runtime, queue), twilio })
    if (flags.json) printJson(sum)
    else print(reconciledView(sum))
    return sum.failed === 0
  } finally {
    await queue.stop(STOP_TIMEOUT_MS)
    await instance.stop()
    await database.close()
  }
}

const STOP_TIMEOUT_MS = 5_000

export function policyCommand(config: Config, flags: { readonly json?: true }): void {
  const policy = createRetryPolicy(readPolicyFile(config.retryPolicyFile), config.retryDelayScale)
  const now = new Date()
  if (flags.json) printJson(policyJson(policy, now))
  else print(policyView(policy, now))
}

async function withDatabase<T>(env: Env, work: (database: Database) => Promise<T>): Promise<T> {
  const config = parseConfig(env, ['DATABASE_URL'])
  const database = openDatabase(config.database, () => undefined)
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}
