// The account as Twilio's API shows it. The restrictions of a suspended account are not simulated.
import { API_VERSION, formatRfc2822 } from './message-resource.ts'

export type AccountStatus = 'active' | 'suspended' | 'closed'

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
