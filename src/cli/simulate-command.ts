// The command `simulate`: runs the Twilio simulator and prints the settings for using it.
import { type Env, parseConfig } from '../config/config.ts'
import { createLogger } from '../shared/log.ts'
import { type AccountStatus, type Chaos, startSimulator } from '../simulator/simulator.ts'
import { print } from '../shared/output.ts'
import { runUntilSignal } from '../processes/until-signal.ts'

export interface SimulateFlags extends Chaos {
  readonly port: number
  readonly host: string
  readonly accountSid?: string
  readonly authToken?: string
  readonly accountStatus: AccountStatus
  readonly seed?: number
  readonly callbackDelayMs: number
  readonly retryAfterSeconds: number
  readonly listRefused?: true
}

export async function simulateCommand(env: Env, flags: SimulateFlags): Promise<void> {
  const { twilio, logLevel, logFormat } = parseConfig(env, [])
  const {
    port,
    host,
    accountSid,
    authToken,
    accountStatus,
    seed,
    callbackDelayMs,
    retryAfterSeconds,
    listRefused,
    ...chaos
  } = flags
  const simulator = await startSimulator({
    port,
    host,
    callbackDelayMs,
    retryAfterSeconds,
    listRefused,
    accountStatus,
    chaos,
    accountSid: accountSid ?? (twilio.accountSid || undefined),
    authToken: authToken ?? twilio.authTokens[0],
    apiKeySid: twilio.apiKey?.sid,
    apiKeySecret: twilio.apiKey?.secret,
    // The seed determines the sids. With a fixed default, a second run would repeat sids that the database already has.
    seed: seed ?? Math.floor(Math.random() * 2 ** 32),
  })
  print(
    [
      `Twilio simulator: ${simulator.url}  (inbox: ${simulator.url}/inbox, seed ${simulator.seed})`,
      'Settings for web and worker:',
      `  TWILIO_API_BASE_URL=${simulator.url}`,
      `  TWILIO_ACCOUNT_SID=${simulator.accountSid}`,
      ...(authToken === undefined && twilio.authTokens.length === 0
        ? [`  TWILIO_AUTH_TOKEN=${simulator.authToken}`]
        : ['  TWILIO_AUTH_TOKEN=<the token you set>']),
    ].join('\n'),
  )
  await runUntilSignal(() => simulator.close(), createLogger({ level: logLevel, format: logFormat }))
}
