// The account that every program of the benchmark sends with.
export const ACCOUNT = {
  TWILIO_ACCOUNT_SID: `AC${'1'.repeat(32)}`,
  TWILIO_AUTH_TOKEN: '2'.repeat(32),
  TWILIO_FROM_NUMBER: '+12065550100',
}
