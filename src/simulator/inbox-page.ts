// Owns the inbox: the latest messages as their recipients' phones would show them, with what became of each.
import { type Html, html } from './html.ts'
import type { SimulatedMessage } from './message-store.ts'
import { describeError } from './twilio-errors.ts'

export const INBOX_MAX_MESSAGES = 100
export const INBOX_REFRESH_SECONDS = 2

/** `messages` is oldest first, as the simulator keeps it; the page has the newest at the top. */
export function inboxPage(messages: SimulatedMessage[]): Html {
  const latest = messages.slice(-INBOX_MAX_MESSAGES).reverse()
  return html`
<h1>Inbox</h1>
<p><a href="/">About this simulator</a> <span class="quiet">· the last ${INBOX_MAX_MESSAGES} messages, newest first,
looked up every ${INBOX_REFRESH_SECONDS} seconds</span></p>
${latest.length === 0 ? html`<p>No message yet.</p>` : html`<ul class="inbox">${latest.map(entry)}</ul>`}
`
}

function entry(message: SimulatedMessage): Html {
  const time = new Date(message.created_at_ms).toISOString()
  const attempt = message.attempt === null ? '' : html` · attempt ${message.attempt}`
  return html`<li><strong>${message.to}</strong> <small>from ${message.from ?? 'a Messaging Service'} ·
<time datetime="${time}">${time.slice(11, 19)} GMT</time>${attempt}</small>
<p>${message.body}</p>${outcome(message)}</li>`
}

function outcome({ answer, status, error_code }: SimulatedMessage): Html {
  if (answer === 'rate_limited') return html`<small class="bad">not processed: 429 by chaos</small>`
  if (answer === 'server_error') return html`<small class="bad">not processed: 500 by chaos</small>`
  const word = answer === 'refused' ? 'refused' : status
  if (error_code !== null)
    return html`<small class="bad">${word} ${error_code} · ${describeError(error_code)}</small>`
  const hung = answer === 'hung' ? ' · its request was left hanging' : ''
  return html`<small class="${status === 'delivered' ? 'good' : 'quiet'}">${word}${hung}</small>`
}
