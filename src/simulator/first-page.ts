// Owns the simulator's first page: what it is, how to use it, and above all what it does not simulate.
// Keep that list honest: whoever changes a rule elsewhere in this folder changes it here as well.
import { MAX_CALLBACKS_IN_FLIGHT } from './callback-queue.ts'
import type { Chaos } from './chaos.ts'
import { type Html, html } from '../shared/html.ts'
import { SERVICE_SENDER } from './message-resource.ts'
import { SIMULATOR_AUTH_TOKEN, type SimulatorSettings } from './simulator-options.ts'
import type { SubmissionAnswer } from './submission-answer.ts'
import { codesThatNeverLeaveTwilio } from './twilio-errors.ts'

const EXAMPLES: readonly [number: string, meaning: string][] = [
  ['+14155550100', 'an ordinary number: delivered'],
  ['+15553000301', 'the first attempt is reported undelivered with 30003, the second is delivered'],
  [
    '+15553000102',
    'two attempts fail with 30001 (queue overflow, so without "sent"), the third is delivered',
  ],
  ['+15553000799', '99 attempts fail with 30007: never delivered, for all practical purposes'],
  ['+15552161099', 'refused at once with 21610, HTTP 400'],
  ['+15552042901', 'refused once with 20429, HTTP 429 and Retry-After, then delivered'],
  ['+15556303801', 'refused once with 63038, HTTP 429: the next attempt is delivered'],
  ['+15552050001', 'refused once with 20500, HTTP 500, then delivered'],
]

function notSimulated({ maxKept }: SimulatorSettings): readonly string[] {
  return [
    'Delivery. No text leaves this machine, and no number is looked up: what is well formed exists.',
    'An account that is suspended or closed: it may say so of itself, and goes on sending. An API key is a standard one, which may not read the account.',
    `Your account. Any From in E.164 form and any Messaging Service is taken as yours. A service always sends from ${SERVICE_SENDER}; its own settings (senders, status callback, validity) do not exist. Trial limits, geo permissions, registration and opt-outs happen only where the number scheme says so.`,
    'Short codes, alphanumeric sender IDs, WhatsApp and other channels: refused with 21211 or 21212.',
    'Media, content templates, scheduling (SendAt), MaxPrice, link shortening: these fields are ignored, and a Body is always required.',
    'Changing, cancelling, redacting or deleting a message, and the Media and Feedback below it: 404. So no message is ever scheduled, canceled, read or received.',
    'Senders’ queues and speed limits. Every message takes the same time. ValidityPeriod is checked and kept, but nothing expires.',
    'Prices: price stays null.',
    'Callbacks for "queued" and "sending", the field ErrorMessage, and redirects, which are recorded and not followed.',
    'In a callback URL’s fragment (#rc=…): the edge location (e) and sni. A mistake in it is passed over in silence. A connection that breaks off before the answer counts as a read time-out (rt), which does not watch the pauses within an answer: its status is all that counts.',
    'Twilio’s refusal of callback URLs that it cannot reach: here localhost and plain http are welcome.',
    'Chaos for fetch and list beyond HTTP 500 and a proxy’s page. A list by DateSent leaves out what was not sent yet, and deep pages without a PageToken are allowed.',
    'Everything else of Twilio: other resources, XML, TLS, inbound messages, test credentials and their magic numbers.',
    `Memory beyond this process. The newest ${maxKept.toLocaleString('en')} messages and as many callbacks are kept, older ones are dropped, all are gone at the end. At most ${MAX_CALLBACKS_IN_FLIGHT} callbacks are under way at once; the others wait.`,
  ]
}

export interface FirstPageFacts {
  settings: Readonly<SimulatorSettings>
  /** The one in force. */
  authToken: string
  chaos: Readonly<Chaos>
  submissionCounts: Record<SubmissionAnswer, number>
  callbacksSent: number
  baseUrl: string
}

export function firstPage({
  settings,
  authToken,
  chaos,
  submissionCounts,
  callbacksSent,
  baseUrl,
}: FirstPageFacts): Html {
  // An auth token that somebody brought along may be a real one.
  const shownToken = authToken === SIMULATOR_AUTH_TOKEN ? authToken : '<the one you gave>'
  const counts = Object.entries(submissionCounts).map(
    ([answer, count]) => `${count} ${answer.replaceAll('_', ' ')}`,
  )
  return html`
<h1>Twilio simulator</h1>
<p>This program speaks the part of Twilio’s messaging API that sends texts: create, fetch and list messages, fetch the
account, errors, and signed status callbacks. It is for running and testing an app without an account. It is not made by Twilio.</p>
<p><a href="/inbox">Inbox</a>, what a phone would show · <a href="/simulator/messages">messages</a> and
<a href="/simulator/callbacks">callbacks</a> as JSON</p>
<p class="quiet">So far: ${counts.join(', ')}; ${callbacksSent} callbacks sent.</p>

<h2>Use it</h2>
<pre>TWILIO_API_BASE_URL=${baseUrl}
TWILIO_ACCOUNT_SID=${settings.accountSid}
TWILIO_AUTH_TOKEN=${shownToken}</pre>

<h2>The recipient’s number is the script</h2>
<p><code>+1555CCCCCNN</code> fails the first <code>NN</code> attempts with error code <code>CCCCC</code>, then delivers.
Every other number delivers. Codes that begin with 2, and 63038, are refused at once with Twilio’s HTTP status. All others are
accepted and reported by callback: as failed, without “sent” before, for
${codesThatNeverLeaveTwilio().join(', ')}; as undelivered for the rest.</p>
<p>An attempt’s number is read from <code>message</code> and <code>attempt</code> in the query of the StatusCallback
URL. Without them, POSTs with the same To and Body are counted. After a 429 or a 5xx it is right to submit the same
attempt again, so for 20429, 20500 and 20503 the first <code>NN</code> POSTs of a message fail.</p>
<div class="wide"><table>
<thead><tr><th>To</th><th>What happens</th></tr></thead>
<tbody>${EXAMPLES.map(([number, meaning]) => html`<tr><td><code>${number}</code></td><td>${meaning}</td></tr>`)}</tbody>
</table></div>

<h2>Chaos in force</h2>
<p>The share of callbacks or requests that suffers each fault, drawn from seed ${settings.seed}. Of several faults
drawn for one POST, the first in this list happens.</p>
<div class="wide"><table>
<tbody>${Object.entries(chaos).map(([name, share]) => html`<tr><td><code>${name}</code></td><td>${share}</td></tr>`)}</tbody>
</table></div>
<p class="quiet">A delayed callback comes ${settings.chaosDelayMs} ms later, a hung request is cut after
${settings.hangMs} ms, a slow one is answered after ${settings.slowMs} ms, a 429
${settings.retryAfterSeconds === null ? 'does not say when to come back' : `asks for ${settings.retryAfterSeconds} s`}. Otherwise ${settings.callbackDelayMs} ms lie
between two steps of a message’s life.</p>

<h2>What it does not simulate</h2>
<ul>${notSimulated(settings).map((gap) => html`<li>${gap}</li>`)}</ul>
`
}
