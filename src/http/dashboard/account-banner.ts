// The banner of every page while nothing is submitted: who paused sending, or which failure put the account on hold.
import type { StoredAccountState } from '../../db/account-row.ts'
import {
  describeHold,
  describePause,
  type Hold,
  isStopped,
  type Pause,
} from '../../delivery/account-state.ts'
import { reasonOf } from '../../delivery/error-codes.ts'
import { count } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import { formatMoment } from './time-and-status.ts'

/** Empty while the account works. */
export function accountBanner(base: string, { state, now }: StoredAccountState): Html {
  if (!isStopped(state)) return html``
  const { hold, pause } = state
  return html`<section class="note banner ${pause === null ? 'bad' : 'busy'}" aria-label="State of sending">
${pause === null ? '' : describePauseAt(pause, now)}
${hold === null ? '' : describeHoldAt(hold, pause, now)}
<p>Messages are recorded and wait. Status callbacks are recorded as usual. To resume sending, open the page <a href="${base}/queue">Queue</a>.</p>
</section>`
}

function describePauseAt(pause: Pause, now: Date): Html {
  return html`<p><strong>${describePause(pause)}</strong></p>
<p>Paused by ${pause.by} at ${formatMoment(pause.since, now)}. A pause lasts until a person resumes sending.</p>`
}

function describeHoldAt(hold: Hold, pause: Pause | null, now: Date): Html {
  const { since, errorCode, probes, probeAt } = hold
  const next =
    pause !== null
      ? html`none during the pause`
      : probeAt > now
        ? formatMoment(probeAt, now)
        : html`as soon as a message is due`
  return html`<p><strong>${describeHold(hold)}</strong></p>
<p>${reasonOf(errorCode)}.</p>
<p>On hold since ${formatMoment(since, now)}. The hold ends when a probe succeeds. Probes made: ${count(probes)}; next probe: ${next}.</p>`
}
