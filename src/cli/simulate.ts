// The command `simulate`: the Twilio simulator as a program.
import { type Env, parseConfig } from '../config.ts'
import { createLogger } from '../log.ts'
import { startSimulator } from '../simulator/simulator.ts'
import { runUntilSignal } from './until-signal.ts'

export interface SimulateFlags {
  readonly port: number
  readonly host: string
  readonly accountSid?: string
  readonly authToken?: string
  readonly seed?: number
  readonly callbackDelayMs: number
  readonly retryAfterSeconds: number
  readonly listRefused?: true
  readonly dropCallbacks: number
  readonly duplicateCallbacks: number
  readonly reorderCallbacks: number
  readonly delayCallbacks: number
  readonly hang: number
  readonly rateLimit: number
  readonly serverError: number
}

export async function simulateCommand(env: Env, flags: SimulateFlags): Promise<void> {
  const { twilio, logLevel, logFormat } = parseConfig(env, [])
  const {
    dropCallbacks,
    duplicateCallbacks,
    reorderCallbacks,
    delayCallbacks,
    hang,
    rateLimit,
    serverError,
  } = flags
  const simulator = await startSimulator({
    ...flags,
    accountSid: flags.accountSid ?? (twilio.accountSid || undefined),
    authToken: flags.authToken ?? twilio.authTokens[0],
    apiKeySid: twilio.apiKey?.sid,
    apiKeySecret: twilio.apiKey?.secret,
    // Sids come from the seed; a fixed one would give a database that was kept the same sids once more.
    seed: flags.seed ?? Math.floor(Math.random() * 2 ** 32),
    chaos: {
      dropCallbacks,
      duplicateCallbacks,
      reorderCallbacks,
      delayCallbacks,
      hang,
      rateLimit,
      serverError,
    },
  })
  process.stdout.write(
    [
      `Twilio simulator: ${simulator.url}  (inbox: ${simulator.url}/inbox, seed ${simulator.seed})`,
      'For web and worker:',
      `  TWILIO_API_BASE_URL=${simulator.url}`,
      `  TWILIO_ACCOUNT_SID=${simulator.accountSid}`,
      ...(flags.authToken === undefined && twilio.authTokens.length === 0
        ? [`  TWILIO_AUTH_TOKEN=${simulator.authToken}`]
        : ['  TWILIO_AUTH_TOKEN as given']),
      '',
    ].join('\n'),
  )
  await runUntilSignal(() => simulator.close(), createLogger({ level: logLevel, format: logFormat }))
}
