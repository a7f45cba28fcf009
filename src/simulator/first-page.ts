// The simulator's first page: what it is, how to use it, and what it does not simulate. Update that list when you change a
// rule in this folder.
import type { AccountStatus } from './account-resource.ts'
import { MAX_CALLBACKS_IN_FLIGHT } from './callback-queue.ts'
import type { Chaos } from './chaos.ts'
import { type Html, html } from '../shared/html.ts'
import { PRICE_PER_SEGMENT, SERVICE_SENDER } from './message-resource.ts'
import { SIMULATOR_AUTH_TOKEN, type SimulatorSettings } from './simulator-options.ts'
import type { SubmissionAnswer } from './submission-answer.ts'
import { codesThatNeverLeaveTwilio } from './twilio-errors.ts'

const EXAMPLES: readonly [number: string, meaning: string][] = [
  ['+14155550100', 'delivered, like every ordinary number'],
  ['+15553000301', 'first attempt undelivered with 30003, second attempt delivered'],
  [
    '+15553000102',
    'two attempts fail with 30001 (queue overflow, no “sent” before “failed”), the third is delivered',
  ],
  ['+15553000799', '99 attempts fail with 30007'],
  ['+15552161099', '99 attempts refused with 21610, HTTP 400'],
  ['+15552042901', 'refused once with 20429, HTTP 429 and Retry-After, then delivered'],
  ['+15556303801', 'refused once with 63038, HTTP 429, then delivered'],
  ['+15552050001', 'refused once with 20500, HTTP 500, then delivered'],
]

function notSimulated({ maxKept }: SimulatorSettings): readonly string[] {
  return [
    'Delivery. No text leaves this machine. Numbers are not looked up: every well-formed number exists.',
    'Other effects of a suspended or closed account than those above: messages are fetched and listed as before. API keys are standard keys, which may not read the account.',
    `The settings of your account. Any From in E.164 format and any Messaging Service is accepted. A service always sends from ${SERVICE_SENDER}, and has no settings of its own (senders, status callback, validity). Trial limits, geo permissions, registration and opt-outs exist only in the number scheme.`,
    'Short codes, alphanumeric sender IDs, WhatsApp and other channels: refused with 21211 or 21212.',
    'Media, content templates, scheduling (SendAt), MaxPrice and link shortening: these fields are ignored. A Body is always required.',
    'Updating, canceling, redacting or deleting a message, and its Media and Feedback: 404. No message is ever scheduled, canceled, read or received.',
    'Queues and rate limits of senders. Every message takes the same time. ValidityPeriod is checked and stored, but no message expires.',
    `Prices: every sent segment costs ${PRICE_PER_SEGMENT} USD, and the price is stated immediately. Twilio states it minutes later; it depends on the country, and carriers add fees.`,
    'Callbacks for "queued" and "sending", and the field ErrorMessage. Redirects are recorded and not followed.',
    'Edge location (e) and sni in the fragment of a callback URL (#rc=…). Invalid parameters are ignored. A connection that breaks before the answer counts as a read time-out (rt). Only the status of an answer counts, not its body.',
    'Twilio’s refusal of callback URLs that it cannot reach. Here, localhost and http are allowed.',
    'Faults of fetch and list other than HTTP 500 and a proxy’s page. A list by DateSent omits messages not sent yet. Pages without a PageToken are allowed.',
    'Everything else: other resources, XML, TLS, inbound messages, test credentials and their magic numbers.',
    `Storage. The newest ${maxKept.toLocaleString('en')} messages and callbacks are kept in memory until the simulator stops. At most ${MAX_CALLBACKS_IN_FLIGHT} callbacks are sent concurrently; the others wait.`,
  ]
}

export interface FirstPageFacts {
  settings: Readonly<SimulatorSettings>
  /** The current token. */
  authToken: string
  chaos: Readonly<Chaos>
  accountStatus: AccountStatus
  submissionCounts: Record<SubmissionAnswer, number>
  callbacksSent: number
  baseUrl: string
}

export function firstPage({
  settings,
  authToken,
  chaos,
  accountStatus,
  submissionCounts,
  callbacksSent,
  baseUrl,
}: FirstPageFacts): Html {
  // A configured auth token may be a real one.
  const shownToken = authToken === SIMULATOR_AUTH_TOKEN ? authToken : '<the token you set>'
  const counts = Object.entries(submissionCounts).map(
    ([answer, count]) => `${count} ${answer.replaceAll('_', ' ')}`,
  )
  return html`
<h1>Twilio simulator</h1>
<p>This program simulates the part of Twilio’s messaging API that sends texts: create, fetch and list messages, fetch the
account, errors, and signed status callbacks. Use it to run and test an app without a Twilio account. It is not made by Twilio.</p>
<p><a href="/inbox">Inbox</a>, as on a phone · <a href="/simulator/messages">messages</a> and
<a href="/simulator/callbacks">callbacks</a> as JSON</p>
<p class="quiet">So far: ${counts.join(', ')}; ${callbacksSent} callbacks sent.</p>

<h2>Use it</h2>
<pre>TWILIO_API_BASE_URL=${baseUrl}
TWILIO_ACCOUNT_SID=${settings.accountSid}
TWILIO_AUTH_TOKEN=${shownToken}</pre>

<h2>The recipient’s number determines the outcome</h2>
<p><code>+1555CCCCCNN</code> fails the first <code>NN</code> attempts with error code <code>CCCCC</code>. Later attempts, and
messages to all other numbers, are delivered. Codes that begin with 2, and 63038, are refused immediately with Twilio’s HTTP
status. For all other codes the API accepts the message, and callbacks report the failure: only “failed” for
${codesThatNeverLeaveTwilio().join(', ')}, and “sent”, then “undelivered” for the rest.</p>
<p>The number of an attempt is read from <code>message</code> and <code>attempt</code> in the query of the StatusCallback
URL. Without them, POSTs with the same To and Body are counted. After a 429 or a 5xx an app may submit the same attempt
again, so for 20429, 20500 and 20503 the first <code>NN</code> POSTs of a message fail.</p>
<div class="wide"><table>
<thead><tr><th>To</th><th>What happens</th></tr></thead>
<tbody>${EXAMPLES.map(([number, meaning]) => html`<tr><td><code>${number}</code></td><td>${meaning}</td></tr>`)}</tbody>
</table></div>

<h2>The account is ${accountStatus}</h2>
<p>While the account is suspended, the API refuses messages with 10001, and queued messages fail with 30002 by callback. A
closed account refuses with 20003. To suspend it, and to activate it again:</p>
<pre>curl -d status=suspended ${baseUrl}/simulator/account
curl -d status=active ${baseUrl}/simulator/account</pre>

<h2>Current chaos</h2>
<p>The share of callbacks or requests with each fault, drawn from seed ${settings.seed}. If several faults are
drawn for one POST, the first in this list happens.</p>
<div class="wide"><table>
<tbody>${Object.entries(chaos).map(([name, share]) => html`<tr><td><code>${name}</code></td><td>${share}</td></tr>`)}</tbody>
</table></div>
<p class="quiet">A delayed callback is sent ${settings.chaosDelayMs} ms later. The connection of a hanging request is closed after
${settings.hangMs} ms. A slow request is answered after ${settings.slowMs} ms. A 429
has ${settings.retryAfterSeconds === null ? 'no Retry-After' : `Retry-After: ${settings.retryAfterSeconds}`}. The status of a message changes every ${settings.callbackDelayMs} ms.</p>

<h2>What it does not simulate</h2>
<ul>${notSimulated(settings).map((gap) => html`<li>${gap}</li>`)}</ul>
`
}
