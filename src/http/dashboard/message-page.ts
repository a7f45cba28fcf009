// The page of one message: its current state, its next step and the reason, its attempts. Also the page that asks to
// confirm an action on it.
import type { Action } from '../../messages/act-on-message.ts'
import type { StoredMessage } from '../../db/messages.ts'
import { type AccountState, blockOf } from '../../delivery/account-state.ts'
import { decide } from '../../delivery/decide.ts'
import { reasonOf } from '../../delivery/error-codes.ts'
import { attemptInDoubt } from '../../delivery/in-doubt.ts'
import type { Attempt } from '../../delivery/message.ts'
import { isInDoubt, nextStepOf } from '../../delivery/next-step.ts'
import type { Circumstances } from '../../delivery/decision.ts'
import type { RetryPolicy } from '../../delivery/retry-policy.ts'
import { isFailedAttempt } from '../../delivery/status.ts'
import { type Html, html } from '../../shared/html.ts'
import { SID } from '../../twilio/parse-body.ts'
import type { Page } from './layout.ts'
import { describeWindow } from '../../delivery/message-window.ts'
import { metadataJson, shownNumber, shownReason, shownUser } from './shown-message.ts'
import { formatMoment, shortTime, statusBadge } from './time-and-status.ts'

/** What the page is built from besides the message. */
export interface View {
  readonly base: string
  readonly policy: RetryPolicy
  readonly circumstances: Circumstances
  readonly account: AccountState
  readonly now: Date
  readonly showContent: boolean
  /** Whether attempts go to a simulator: Twilio does not know their SIDs. */
  readonly isSimulated: boolean
  /** The result of the action that led to this page. */
  readonly notice: Notice | null
}

export const NOTICES = {
  retry: 'Retry requested. The next step below shows when a worker makes the attempt.',
  cancel: 'The message is canceled.',
  resolve: 'The message is no longer in doubt. Its current state is below.',
  nothing: 'No action taken: the message changed. Its current state is below.',
} as const

export type Notice = keyof typeof NOTICES

export function messagePage(message: StoredMessage, view: View): Page {
  const { notice } = view
  return {
    title: `Message ${message.id}`,
    refreshSeconds: 10,
    content: html`
${notice === null ? '' : html`<p class="note" role="status">${NOTICES[notice]}</p>`}
<h1>Message ${message.id}</h1>
<dl class="facts">${factsOf(message, view).map(([name, value]) => (value === null ? '' : html`<div><dt>${name}</dt><dd>${value}</dd></div>`))}</dl>
${actionLinks(message, view)}
<h2>Attempts</h2>
${message.attempts.length === 0 ? html`<p class="empty">No attempts recorded.</p>` : html`<ol class="timeline">${message.attempts.map((attempt) => attemptItem(attempt, message, view))}</ol>`}`,
  }
}

/** Name and value; a null value is not shown. */
function factsOf(
  message: StoredMessage,
  { account, now, showContent }: View,
): readonly [string, Html | string | number | null][] {
  const { what, at } = nextStepOf(message, account, now)
  return [
    [
      'Status',
      html`${statusBadge(message.status)}${isInDoubt(message, now) ? html` <span class="badge bad">in doubt</span>` : ''}`,
    ],
    ['Reason', shownReason(message, showContent)],
    ['Next step', html`${what}${at === null ? '.' : html`: ${formatMoment(at, now)}`}`],
    ['To', shownNumber(message, showContent)],
    ['User', shownUser(message, showContent)],
    ['Text', textOf(message, showContent)],
    ['Created', formatMoment(message.createdAt, now)],
    ['Deadline', message.deadline === null ? null : formatMoment(message.deadline, now)],
    ['Send after', message.sendAfter === null ? null : formatMoment(message.sendAfter, now)],
    ['Send window', describeWindow(message)],
    ['Retries', `${message.retryCount} of at most ${message.maxRetries}`],
    ['Latest SID', message.sid],
    ['Last request took', message.processingTimeMs === null ? null : `${message.processingTimeMs} ms`],
    ['Metadata', metadataOf(message, showContent)],
  ]
}

/** Longer metadata is cut off: `show --json` prints all of it. */
const MAX_METADATA_LENGTH = 2_000

function metadataOf(message: StoredMessage, showContent: boolean): Html | null {
  const shown = metadataJson(message, showContent, 2)
  if (shown === null) return null
  const cut = shown.length > MAX_METADATA_LENGTH ? `${shown.slice(0, MAX_METADATA_LENGTH)} …` : shown
  return html`<span class="text">${cut.toWellFormed()}</span>`
}

function textOf({ body }: StoredMessage, showContent: boolean): Html {
  if (body === null) return html`<span class="quiet">none</span>`
  return showContent
    ? html`<span class="text">${body}</span>`
    : html`<span class="quiet">hidden (${[...body].length} characters); set DASHBOARD_SHOW_CONTENT to show it</span>`
}

function attemptItem(
  attempt: Attempt,
  message: StoredMessage,
  { now, showContent, isSimulated }: View,
): Html {
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
${postponements === 0 ? '' : html`<p class="quiet">postponed ${postponements} ${postponements === 1 ? 'time' : 'times'}</p>`}
${sid === null ? '' : html`<p class="quiet">${isSimulated || !SID.test(sid) ? sid : consoleLink(sid)}</p>`}</li>`
}

/**
 * The log of messages in Twilio's console, searched for the SID. Twilio's page "Programmable Messaging Logs" documents the
 * address of the log and its search. The query is not documented; the console shows it in the address of such a search. If
 * it is ignored, the link opens the whole log.
 */
function consoleLink(sid: string): Html {
  return html`<a href="https://console.twilio.com/us1/monitor/logs/sms?pageSize=50&sid=${sid}" target="_blank" rel="noreferrer">${sid}<span class="hidden"> in Twilio's console</span></a> <span aria-hidden="true">in Twilio's console</span>`
}

const STEPS: ReadonlyMap<string, string> = new Map([
  ['pending', 'scheduled'],
  ['submitting', 'submitted'],
])

type RetryAction = Extract<Action, { kind: 'retry' }>
export type CancelAction = Extract<Action, { kind: 'cancel' }>
/** A retry that applies only while the message is as the page showed it. */
export type SeenRetry = RetryAction & { readonly seen: NonNullable<RetryAction['seen']> }

export interface PossibleActions {
  /** Null if not even a forced retry is possible. */
  readonly retry: SeenRetry | null
  readonly cancel: CancelAction | null
  /** Why the retry must be forced; null if a normal retry is possible. */
  readonly warning: string | null
}

export function possibleActions(
  message: StoredMessage,
  { policy, circumstances, account, now }: Pick<View, 'policy' | 'circumstances' | 'account' | 'now'>,
): PossibleActions {
  const whyNot = (action: Action): string | null => {
    const decision = decide(message, action, { policy, circumstances, account, now, random: 0 })
    return decision.kind === 'ignore' ? decision.why : null
  }
  const { status, retryCount } = message
  const cancel = { kind: 'cancel' } as const
  const retry = { kind: 'retry', seen: { status, retryCount }, force: false } as const
  const forced = { ...retry, force: true }
  const possible = { cancel: whyNot(cancel) === null ? cancel : null, warning: null }
  const warning = whyNot(retry)
  if (warning === null) return { ...possible, retry }
  return whyNot(forced) === null ? { ...possible, retry: forced, warning } : { ...possible, retry: null }
}

function actionLinks(message: StoredMessage, view: View): Html {
  const { retry, cancel } = possibleActions(message, view)
  const link = (path: string, label: string): Html =>
    html`<a class="button" href="${view.base}/messages/${message.id}/${path}">${label}</a>`
  const isResolvable = attemptInDoubt(message, view.now) !== null
  if (retry === null && cancel === null && !isResolvable) return html``
  return html`<p class="actions">${retry === null ? '' : link('retry', 'Retry now')} ${cancel === null ? '' : link('cancel', 'Cancel')} ${isResolvable ? link('resolve', 'Resolve') : ''}</p>`
}

/** @param fields the hidden fields of the form */
export function confirmPage(
  message: StoredMessage,
  view: View,
  kind: Action['kind'],
  fields: Readonly<Record<string, string>>,
): Page {
  const { warning } = possibleActions(message, view)
  const path = `${view.base}/messages/${message.id}`
  const { title, explanation, button, isDangerous } =
    kind === 'cancel' ? CANCEL : retryDialog(message, warning, view)
  return {
    title,
    content: html`
<h1>${kind === 'cancel' ? 'Cancel' : 'Retry'} message ${message.id}?</h1>
<p>${statusBadge(message.status)} to ${shownNumber(message, view.showContent)}</p>
${explanation}
<form method="post" action="${path}/${kind}">
${Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">\n`)}<button class="${isDangerous ? 'bad' : ''}">${button}</button>
<a href="${path}">Back</a>
</form>`,
  }
}

interface Dialog {
  readonly title: string
  readonly explanation: Html
  readonly button: string
  readonly isDangerous: boolean
}

const CANCEL: Dialog = {
  title: 'Cancel',
  explanation: html`<p>The pending attempt is not made, and no other attempt follows. Callbacks for earlier attempts may still arrive.</p>`,
  button: 'Cancel the message',
  isDangerous: true,
}

function retryDialog({ status }: StoredMessage, warning: string | null, { account, now }: View): Dialog {
  const block = blockOf(account, now)
  const attempt = status === 'retrying' || status === 'pending' ? 'the pending attempt' : 'another attempt'
  return {
    title: 'Retry now',
    explanation: html`<p>A worker makes ${attempt} ${block === null ? 'now' : 'when sending resumes'}. If it succeeds, the recipient receives the message.</p>
${warning === null ? '' : html`<p class="note bad">This retry must be forced: ${warning}.</p>`}`,
    button: warning === null ? 'Retry now' : 'Retry anyway',
    isDangerous: warning !== null,
  }
}
