// The endpoints that receive callbacks: the product's web process, as it is installed, and its peers.
import { fileURLToPath } from 'node:url'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { answersOk, type Program, startProgram } from '../processes.ts'
import { ACCOUNT_SID, AUTH_TOKEN, PUBLIC_BASE_URL } from '../signed-callback.ts'

export interface Endpoint extends Program {
  readonly url: string
}

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/**
 * V8 lets a heap grow by the machine's memory, not by its need. These limits are what the README advises for a small
 * machine.
 */
export const SMALL_HEAP = { NODE_OPTIONS: '--max-semi-space-size=4 --max-old-space-size=128' }

/** @param databaseUrl of a migrated database */
export function startWebProcess(
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Endpoint> {
  return startEndpoint([CLI, 'web'], {
    DATABASE_URL: databaseUrl,
    TWILIO_ACCOUNT_SID: ACCOUNT_SID,
    HOST: '127.0.0.1',
    LOG_LEVEL: 'warn',
    ...env,
  })
}

export type PeerName = 'limit' | 'barest' | 'plain' | 'graphile-worker' | 'bullmq'

export function startPeer(name: PeerName, env: Readonly<Record<string, string>>): Promise<Endpoint> {
  return startEndpoint([fileURLToPath(new URL(`../peers/${name}.ts`, import.meta.url))], env)
}

async function startEndpoint(args: string[], env: Readonly<Record<string, string>>): Promise<Endpoint> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const common = { NODE_ENV: 'production', PORT: `${port}`, TWILIO_AUTH_TOKEN: AUTH_TOKEN, PUBLIC_BASE_URL }
  const program = await startProgram(process.execPath, args, { ...common, ...env }, () =>
    answersOk(`${url}/readyz`),
  )
  return { ...program, url }
}
