// The part of the queue page that shows and changes the state of sending, and the pages that ask to confirm the change.
import {
  type AccountState,
  FAILURES_BEFORE_HOLD,
  isStopped,
  MAX_PAUSE_REASON,
} from '../../delivery/account-state.ts'
import { type Html, html } from '../../shared/html.ts'
import type { Page } from './layout.ts'

export type AccountAction = 'pause' | 'resume'

/** The result of the action that led to the page. */
export const ACCOUNT_NOTICES = {
  pause: 'Sending is paused.',
  resume: 'Sending resumes.',
  nothing:
    'No action taken: sending was paused, resumed or put on hold in the meantime. The current state is below.',
} as const

export type AccountNotice = keyof typeof ACCOUNT_NOTICES

/** A pause may be added to a hold, and lasts when the hold ends. */
export function possibleAccountActions(state: AccountState): AccountAction[] {
  return [
    ...(isStopped(state) ? (['resume'] as const) : []),
    ...(state.pause === null ? (['pause'] as const) : []),
  ]
}

export function accountLinks(base: string, account: AccountState): Html {
  const links = possibleAccountActions(account).map(
    (action) => html`<a class="button" href="${base}/queue/${action}">${LABELS[action]}</a> `,
  )
  return html`<p class="actions">${links}</p>`
}

const LABELS = { pause: 'Pause sending', resume: 'Resume sending' } as const

/** Tells pauses and holds apart: a form must not end or replace one that its page did not show. */
export function seenAccount({ pause, hold }: AccountState): string {
  return [pause, hold].map((each) => each?.since.toISOString() ?? '').join(' ')
}

export function confirmAccountPage(base: string, action: AccountAction, account: AccountState): Page {
  return {
    title: LABELS[action],
    content: html`
<h1>${LABELS[action]}?</h1>
${action === 'pause' ? EFFECT_OF_PAUSE : effectOfResume(account)}
<form method="post" action="${base}/queue/${action}">
<input type="hidden" name="seen" value="${seenAccount(account)}">
${action === 'pause' ? REASON_FIELD : ''}<button class="${action === 'pause' ? 'bad' : ''}">${LABELS[action]}</button>
<a href="${base}/queue">Back</a>
</form>`,
  }
}

const EFFECT_OF_PAUSE = html`<p>No process submits a message until a person resumes sending. Requests that are under way are finished.</p>
<p>Messages are recorded and wait; a message whose deadline passes expires. Status callbacks are recorded as usual.</p>`

const REASON_FIELD = html`<label>Reason (optional)<input class="reason" name="reason" maxlength="${MAX_PAUSE_REASON}" autocomplete="off" placeholder="Wrong text in the newsletter" autofocus></label>
<p class="quiet">Everybody who opens the dashboard sees it. It is the reason of each message that waits.</p>
`

function effectOfResume({ hold }: AccountState): Html {
  return html`<p>Workers submit the messages that are due, at SEND_RATE_PER_SECOND if it is set.</p>
${hold === null ? '' : html`<p class="note bad">The account is on hold, and no probe has succeeded. If it still fails, ${FAILURES_BEFORE_HOLD} failures in a row put it on hold again.</p>`}`
}
