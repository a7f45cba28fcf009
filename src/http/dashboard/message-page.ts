// One message: what it is, what will happen next and why, and all that has happened to it.
import type { Action } from '../../messages/act-on-message.ts'
import type { StoredMessage } from '../../db/messages.ts'
import { decide } from '../../delivery/decide.ts'
import { reasonOf } from '../../delivery/error-codes.ts'
import type { Attempt } from '../../delivery/message.ts'
import { isInDoubt, nextStepOf } from '../../delivery/next-step.ts'
import type { RetryPolicy } from '../../delivery/retry-policy.ts'
import { isFailedAttempt } from '../../delivery/status.ts'
import { type Html, html } from '../../shared/html.ts'
import { maskNumber, maskReason } from '../../shared/log.ts'
import type { Page } from './layout.ts'
import { formatMoment, shortTime, statusBadge } from './words.ts'

/** What the page is made from besides the message. */
export interface View {
  readonly base: string
  readonly policy: RetryPolicy
  readonly now: Date
  readonly showContent: boolean
  /** What has just been done, for whoever did it. */
  readonly notice: string | null
}

export const NOTICES: ReadonlyMap<string, string> = new Map([
  ['retry', 'It is tried again now: a worker makes the attempt as soon as it can.'],
  ['cancel', 'It is called off.'],
  ['nothing', 'Nothing was done: the message is not any more what it was. What it is now stands below.'],
])

export function messagePage(message: StoredMessage, view: View): Page {
  const { now, showContent } = view
  const { what, at } = nextStepOf(message, now)
  const reason =
    message.reason === null ? null : showContent ? message.reason : maskReason(message.reason, message.to)
  const facts: [string, Html | string | number | null][] = [
    [
      'Status',
      html`${statusBadge(message.status)}${isInDoubt(message, now) ? html` <span class="badge bad">in doubt</span>` : ''}`,
    ],
    ['Why', reason],
    ['Next', html`${what}${at === null ? '.' : html`: ${formatMoment(at, now)}`}`],
    ['To', showContent ? message.to : maskNumber(message.to)],
    ['User', message.userId],
    ['Text', textOf(message, showContent)],
    ['Created', formatMoment(message.createdAt, now)],
    ['Deadline', message.deadline === null ? null : formatMoment(message.deadline, now)],
    ['Retries', `${message.retryCount} of at most ${message.maxRetries}`],
    ['Latest sid', message.sid],
    ['Last request took', message.processingTimeMs === null ? null : `${message.processingTimeMs} ms`],
  ]
  return {
    title: `Message ${message.id}`,
    refreshSeconds: 10,
    content: html`
${view.notice === null ? '' : html`<p class="note" role="status">${view.notice}</p>`}
<h1>Message ${message.id}</h1>
<dl class="facts">${facts.map(([name, value]) => (value === null ? '' : html`<div><dt>${name}</dt><dd>${value}</dd></div>`))}</dl>
${actionLinks(message, view)}
<h2>Attempts</h2>
${message.attempts.length === 0 ? html`<p class="empty">None that sms-retry knows of.</p>` : html`<ol class="timeline">${message.attempts.map((attempt) => attemptItem(attempt, message, view))}</ol>`}`,
  }
}

function textOf({ body }: StoredMessage, showContent: boolean): Html {
  if (body === null) return html`<span class="quiet">none</span>`
  return showContent
    ? html`<span class="text">${body}</span>`
    : html`<span class="quiet">hidden, ${[...body].length} characters (DASHBOARD_SHOW_CONTENT)</span>`
}

function attemptItem(attempt: Attempt, message: StoredMessage, { now, showContent }: View): Html {
  const { number, status, sid, errorCode, errorText, postponements, times } = attempt
  const steps = Object.entries(times).toSorted(([, one], [, other]) => one.localeCompare(other))
  const isWaiting = status === 'pending' && number === message.retryCount && message.nextRetryAt !== null
  const failure = isFailedAttempt(status)
    ? html`<p class="bad"><strong>${errorCode ?? 'no code'}</strong> ${reasonOf(errorCode)}${showContent && errorText !== null ? html` <span class="quiet">“${errorText}”</span>` : ''}</p>`
    : ''
  return html`<li><h3>${number === 0 ? 'First attempt' : `Retry ${number}`} ${statusBadge(status)}</h3>
<ul>${steps.map(([name, at]) => html`<li><span class="step">${STEPS.get(name) ?? name}</span> ${shortTime(new Date(at))}</li>`)}
${isWaiting ? html`<li><span class="step">due</span> ${formatMoment(message.nextRetryAt, now)}</li>` : ''}</ul>
${failure}
${postponements === 0 ? '' : html`<p class="quiet">put off ${postponements} ${postponements === 1 ? 'time' : 'times'}</p>`}
${sid === null ? '' : html`<p class="quiet">${sid}</p>`}</li>`
}

const STEPS: ReadonlyMap<string, string> = new Map([
  ['pending', 'scheduled'],
  ['submitting', 'submitted'],
])

/** What could be done now, and what of it only by force; what cannot, is not offered. */
export function possibleActions(
  message: StoredMessage,
  { policy, now }: Pick<View, 'policy' | 'now'>,
): { readonly retry: Action | null; readonly cancel: Action | null; readonly warning: string | null } {
  const whyNot = (action: Action): string | null => {
    const decision = decide(message, action, { policy, now, random: 0 })
    return decision.kind === 'ignore' ? decision.why : null
  }
  const { status, retryCount } = message
  const retry = { kind: 'retry', seen: { status, retryCount }, force: false } as const
  const forced = { ...retry, force: true }
  const cancel = { kind: 'cancel' } as const
  const warning = whyNot(retry)
  return {
    retry: warning === null ? retry : whyNot(forced) === null ? forced : null,
    cancel: whyNot(cancel) === null ? cancel : null,
    warning: warning === null || whyNot(forced) !== null ? null : warning,
  }
}

function actionLinks(message: StoredMessage, view: View): Html {
  const { retry, cancel } = possibleActions(message, view)
  const link = (path: string, label: string): Html =>
    html`<a class="button" href="${view.base}/messages/${message.id}/${path}">${label}</a>`
  if (retry === null && cancel === null) return html``
  return html`<p class="actions">${retry === null ? '' : link('retry', 'Retry now')} ${cancel === null ? '' : link('cancel', 'Cancel')}</p>`
}

/** Asks whether it is meant. */
export function confirmPage(
  message: StoredMessage,
  view: View,
  action: Action,
  form: { readonly action: string; readonly token: string },
): Page {
  const { warning } = possibleActions(message, view)
  const path = `${view.base}/messages/${message.id}`
  const question =
    action.kind === 'cancel'
      ? html`<p>The attempt that waits is not made, and no other follows. A callback of an earlier attempt may still come.</p>`
      : html`<p>A worker makes ${message.status === 'retrying' || message.status === 'pending' ? 'the attempt that waits' : 'a further attempt'} now. The recipient gets the message if it gets through.</p>
${warning === null ? '' : html`<p class="note bad">It takes force: ${warning}.</p>`}`
  return {
    title: action.kind === 'cancel' ? 'Cancel' : 'Retry now',
    content: html`
<h1>${action.kind === 'cancel' ? 'Cancel' : 'Retry'} message ${message.id}?</h1>
<p>${statusBadge(message.status)} to ${view.showContent ? message.to : maskNumber(message.to)}</p>
${question}
<form method="post" action="${path}/${action.kind}">
<input type="hidden" name="token" value="${form.token}">
<input type="hidden" name="action" value="${form.action}">
<button class="${action.kind === 'cancel' || warning !== null ? 'bad' : ''}">${action.kind === 'cancel' ? 'Cancel the message' : warning === null ? 'Retry now' : 'Retry all the same'}</button>
<a href="${path}">Back</a>
</form>`,
  }
}
