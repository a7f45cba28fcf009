// The inbox page: the latest messages as recipients would see them, with their status.
import { type Html, html } from '../shared/html.ts'
import type { SimulatedMessage } from './message-store.ts'
import {
  type CreatedAnswer,
  type NotProcessedAnswer,
  wasNotProcessed,
  wasRefused,
} from './submission-answer.ts'
import { describeError } from './twilio-errors.ts'

export const INBOX_MAX_MESSAGES = 100
export const INBOX_REFRESH_SECONDS = 2

/** @param messages oldest first; the page shows the newest first */
export function inboxPage(messages: SimulatedMessage[]): Html {
  const latest = messages.slice(-INBOX_MAX_MESSAGES).reverse()
  return html`
<h1>Inbox</h1>
<p><a href="/">About this simulator</a> <span class="quiet">· the last ${INBOX_MAX_MESSAGES} messages, newest first,
refreshed every ${INBOX_REFRESH_SECONDS} seconds</span></p>
${latest.length === 0 ? html`<p>No messages yet.</p>` : html`<ul class="inbox">${latest.map(entry)}</ul>`}
`
}

function entry(message: SimulatedMessage): Html {
  const time = new Date(message.created_at_ms).toISOString()
  const attempt = message.attempt === null ? '' : html` · attempt ${message.attempt}`
  return html`<li><strong>${message.to}</strong> <small>from ${message.from ?? 'a Messaging Service'} ·
<time datetime="${time}">${time.slice(11, 19)} GMT</time>${attempt}</small>
<p>${message.body}</p>${outcome(message)}</li>`
}

const WHY_NOT_PROCESSED: Record<NotProcessedAnswer, string> = {
  rate_limited: '429 by chaos',
  unavailable: '503 by chaos',
  server_error: '500 by chaos',
  proxy_page: 'proxy page by chaos',
  hung_before: 'no answer by chaos',
  closed_before: 'connection closed by chaos',
}

const ANSWER_FAULTS: Record<Exclude<CreatedAnswer, 'accepted'> | 'refused_reset', string> = {
  hung: 'no answer',
  reset: 'answer cut off',
  dripped: 'answered one byte at a time',
  refused_reset: 'answer cut off',
  server_error_after: 'answered with 500',
  garbage: 'answer unreadable',
  slow: 'answered late',
}

function outcome({ answer, status, error_code }: SimulatedMessage): Html {
  if (wasNotProcessed(answer))
    return html`<small class="bad">not processed: ${WHY_NOT_PROCESSED[answer]}</small>`
  const word = wasRefused(answer) ? 'refused' : status
  const error = error_code === null ? '' : ` ${error_code} · ${describeError(error_code)}`
  const fault = answer === 'accepted' || answer === 'refused' ? '' : ` · ${ANSWER_FAULTS[answer]}`
  const tone = error_code !== null ? 'bad' : status === 'delivered' ? 'good' : 'quiet'
  return html`<small class="${tone}">${word}${error}${fault}</small>`
}
