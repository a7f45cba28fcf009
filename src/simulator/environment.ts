// The environment with which web, worker and sender use a simulator on this machine instead of Twilio.
import type { Simulator } from './simulator.ts'

export interface SimulatedProcesses {
  readonly databaseUrl: string
  /** Where the web process listens. */
  readonly port: number
  readonly delayScale: number
}

/** Complete for every process, so nothing has to come from the real environment. */
export function simulatedEnvironment(
  { url, accountSid, authToken }: Simulator,
  { databaseUrl, port, delayScale }: SimulatedProcesses,
) {
  return {
    DATABASE_URL: databaseUrl,
    HOST: '127.0.0.1',
    PORT: `${port}`,
    PUBLIC_BASE_URL: `http://127.0.0.1:${port}`,
    TWILIO_ACCOUNT_SID: accountSid,
    TWILIO_AUTH_TOKEN: authToken,
    TWILIO_FROM_NUMBER: '+12065550100',
    TWILIO_API_BASE_URL: url,
    RETRY_DELAY_SCALE: `${delayScale}`,
  }
}
