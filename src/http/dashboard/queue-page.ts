// Which attempts wait, which are in doubt, which processes run, and whether sending is paused.
import { readBacklog } from '../../db/backlog.ts'
import { type LiveInstance, listInstances } from '../../db/instances.ts'
import type { AccountState } from '../../delivery/account-state.ts'
import type { Db } from '../../postgres/pool.ts'
import { type Html, html } from '../../shared/html.ts'
import { count } from '../../shared/figures.ts'
import { ACCOUNT_NOTICES, accountLinks, type AccountNotice } from './account-page.ts'
import { type Page, wideTable } from './layout.ts'
import { formatMoment, statusBadge } from './time-and-status.ts'

/** @param notice the result of the action that led to this page */
export async function queuePage(
  db: Db,
  base: string,
  account: AccountState,
  notice: AccountNotice | null,
): Promise<Page> {
  const [backlog, instances] = await Promise.all([readBacklog(db), listInstances(db)])
  const { now, due, oldestDueAt, deferred, nextDueAt, inDoubt, oldestInDoubtAt, byStatus } = backlog
  const figure = (key: string, label: string, value: number, of: Html): Html =>
    html`<div data-figure="${key}"><dt>${label}</dt><dd>${count(value)}</dd><dd class="quiet">${of}</dd></div>`
  const statuses = Object.entries(byStatus).toSorted(([, one], [, other]) => other - one)
  return {
    title: 'Queue',
    refreshSeconds: 5,
    content: html`
${notice === null ? '' : html`<p class="note" role="status">${ACCOUNT_NOTICES[notice]}</p>`}
<h1>Queue and workers</h1>
${accountLinks(base, account)}
<dl class="figures">
${figure('due', 'Due', due, due === 0 ? html`no attempt waits for a worker` : html`oldest: ${formatMoment(oldestDueAt, now)}`)}
${figure('deferred', 'Deferred', deferred, deferred === 0 ? html`no attempt is scheduled for later` : html`next: ${formatMoment(nextDueAt, now)}`)}
${figure('in-doubt', 'In doubt', inDoubt, inDoubt === 0 ? html`no unknown outcomes` : html`oldest: ${formatMoment(oldestInDoubtAt, now)}`)}
</dl>
<p><a href="${base}/queue/outcomes">Outcomes that the app has not received</a></p>
<h2>Processes</h2>
${instances.some(({ role }) => role === 'worker') ? '' : html`<p class="note bad">No worker is running, so no due attempt is made. Start one with: sms-retry worker</p>`}
${instances.length === 0 ? '' : processTable(instances, now)}
<h2>Messages in flight</h2>
${
  statuses.length === 0
    ? html`<p class="empty">No messages are in flight.</p>`
    : wideTable(
        'Messages in flight',
        html`<table><thead><tr><th scope="col">Status</th><th scope="col" class="number">Messages</th></tr></thead><tbody>${statuses.map(
          ([status, messages]) =>
            html`<tr><td><a href="${base}/messages?status=${status}">${statusBadge(status as never)}</a></td><td class="number">${count(messages)}</td></tr>`,
        )}</tbody></table>`,
      )
}`,
  }
}

function processTable(instances: readonly LiveInstance[], now: Date): Html {
  const row = ({ role, host, pid, version, startedAt, seenAt }: LiveInstance): Html =>
    html`<tr data-role="${role}"><td>${role}</td><td>${host}</td><td class="number">${pid}</td><td>${version}</td><td>${formatMoment(startedAt, now)}</td><td>${formatMoment(seenAt, now)}</td></tr>`
  return wideTable(
    'Processes',
    html`<table><thead><tr><th scope="col">Role</th><th scope="col">Host</th><th scope="col" class="number">Process ID</th><th scope="col">Version</th><th scope="col">Started</th><th scope="col">Last seen</th></tr></thead><tbody>${instances.map(row)}</tbody></table>`,
  )
}
