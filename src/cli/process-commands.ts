// The commands `migrate`, `web` and `worker`: the three processes of a deployment.
import { type Env, parseConfig } from '../config/config.ts'
import { startWeb } from '../http/web.ts'
import { migrate } from '../processes/migrate.ts'
import { ENDPOINT_REQUIREMENTS, openRuntime, SENDING_REQUIREMENTS } from '../processes/runtime.ts'
import { runUntilSignal } from '../processes/until-signal.ts'
import { runWorker } from '../processes/worker.ts'
import { createLogger } from '../shared/log.ts'
import { printStatus } from '../shared/output.ts'

export async function migrateCommand(env: Env): Promise<void> {
  const { database, logLevel, logFormat } = parseConfig(env, ['DATABASE_URL'])
  const applied = await migrate(database, createLogger({ level: logLevel, format: logFormat }))
  printStatus(applied.length === 0 ? 'The schema is up to date.' : `Applied: ${applied.join(', ')}.`)
}

export async function webCommand(env: Env): Promise<void> {
  const runtime = openRuntime({}, env, ENDPOINT_REQUIREMENTS)
  const web = await startWeb(runtime)
  await runUntilSignal(() => web.stop(), runtime.logger)
}

export async function workerCommand(env: Env): Promise<void> {
  const runtime = openRuntime({}, env, SENDING_REQUIREMENTS)
  const worker = await runWorker(runtime)
  await runUntilSignal(() => worker.stop(), runtime.logger)
}
