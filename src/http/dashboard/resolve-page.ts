// The page on which a person settles a message in doubt.
import type { StoredMessage } from '../../db/messages.ts'
import type { AttemptInDoubt } from '../../delivery/in-doubt.ts'
import { html } from '../../shared/html.ts'
import type { Page } from './layout.ts'
import type { View } from './message-page.ts'
import { shownNumber } from './shown-message.ts'
import { formatMoment, statusBadge } from './time-and-status.ts'

/** @param fields the hidden fields of both forms */
export function resolvePage(
  message: StoredMessage,
  { base, now, showContent }: View,
  { attempt, claimedAt, account }: AttemptInDoubt,
  fields: Readonly<Record<string, string>>,
): Page {
  const path = `${base}/messages/${message.id}`
  const hidden = Object.entries(fields).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">\n`,
  )
  return {
    title: 'Resolve',
    content: html`
<h1>Resolve message ${message.id}</h1>
<p>${statusBadge(message.status)} to ${shownNumber(message, showContent)}</p>
<p>${attempt === 0 ? 'The first attempt' : `Retry ${attempt}`} was submitted at ${formatMoment(claimedAt, now)}${account === null ? '' : html` from account ${account}`}. It is not known whether Twilio received it. Look for the message in the message log of Twilio's console, by number and time.</p>
<h2>Twilio has the message</h2>
<p>sms-retry fetches it, and compares account, number, text and time. Then its status is recorded, and its callbacks apply.</p>
<form method="post" action="${path}/resolve">
${hidden}<label>SID<input class="reason" name="sid" required autocomplete="off" placeholder="SM…" pattern="\\s*(SM|MM)[0-9a-fA-F]{32}\\s*"></label>
<button>Adopt this message</button>
</form>
<h2>Twilio does not have the message</h2>
<p>The same attempt is made again. If Twilio has the message after all, the recipient receives it twice.</p>
<form method="post" action="${path}/resolve">
${hidden}<input type="hidden" name="sid" value="">
<button class="bad">Send it again</button>
<a href="${path}">Back</a>
</form>`,
  }
}
