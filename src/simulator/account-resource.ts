// The account as Twilio's API shows it, and how an account that is not active refuses messages. message-lifecycle.ts fails
// the messages that are queued.
import { API_VERSION, formatRfc2822 } from './message-resource.ts'
import type { Outcome } from './number-script.ts'

const ACCOUNT_STATUSES = ['active', 'suspended', 'closed'] as const
export type AccountStatus = (typeof ACCOUNT_STATUSES)[number]

export interface Account {
  accountSid: string
  accountStatus: AccountStatus
  isTrial: boolean
}

const CREATED = formatRfc2822(Date.UTC(2020, 0, 1))

/** https://www.twilio.com/docs/iam/api/account */
export function accountResource({ accountSid, accountStatus, isTrial }: Account, authToken: string) {
  const uri = `/${API_VERSION}/Accounts/${accountSid}`
  return {
    auth_token: authToken,
    date_created: CREATED,
    date_updated: CREATED,
    friendly_name: 'Simulated account',
    owner_account_sid: accountSid,
    sid: accountSid,
    status: accountStatus,
    subresource_uris: { messages: `${uri}/Messages.json` },
    type: isTrial ? 'Trial' : 'Full',
    uri: `${uri}.json`,
  }
}

/** @throws RangeError for another status */
export function checkAccountStatus(status: unknown): AccountStatus {
  const known = ACCOUNT_STATUSES.find((each) => each === status)
  if (known === undefined)
    throw new RangeError(`accountStatus must be one of: ${ACCOUNT_STATUSES.join(', ')}`)
  return known
}

/**
 * How the account refuses a POST of a message; null if it is active. Twilio documents 10001 for requests of a suspended
 * account, and 20003 for credentials of a closed one, but not the HTTP status of 10001.
 */
export function accountOutcome(status: AccountStatus): Extract<Outcome, { kind: 'refused' }> | null {
  if (status === 'active') return null
  return { kind: 'refused', code: status === 'suspended' ? 10001 : 20003 }
}
