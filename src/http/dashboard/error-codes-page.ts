// Why messages fail, what the policy does about each failure, and which retries succeed: the evidence for a change of the
// policy.
import { countFailures, type FailureCode, MAX_CONSIDERED, type RetryOutcome } from '../../db/failures.ts'
import type { Db } from '../../postgres/pool.ts'
import { reasonOf } from '../../delivery/error-codes.ts'
import { formatSchedule, type RetryPolicy, ruleFor } from '../../delivery/retry-policy.ts'
import { type Html, html } from '../../shared/html.ts'
import { count, duration, share } from '../../shared/figures.ts'
import type { Page } from './layout.ts'
import { type NamedSpan, spanLinks } from './spans.ts'

export async function errorCodesPage(
  db: Db,
  base: string,
  span: NamedSpan,
  policy: RetryPolicy,
): Promise<Page> {
  const { codes, isComplete } = await countFailures(db, span.seconds)
  return {
    title: 'Error codes',
    refreshSeconds: span.refreshSeconds * 6,
    content: html`
<div class="head"><h1>Failures in the last ${span.words}</h1>${spanLinks(`${base}/error-codes`, span)}</div>
${isComplete ? '' : html`<p class="note">Based on the newest ${count(MAX_CONSIDERED)} messages with a failed attempt. This time range has more.</p>`}
${
  codes.length === 0
    ? html`<p class="empty">No attempt failed.</p>`
    : html`<div class="wide"><table class="codes">
<thead><tr><th>Code</th><th>Meaning</th><th>Policy</th><th class="number">Attempts</th><th class="number">Messages</th><th>Recovered</th><th>Delivered by retry</th></tr></thead>
<tbody>${codes.map((code) => codeRow(base, span, code, policy))}</tbody></table></div>
<p class="quiet">Recovered: messages with this failure that were eventually delivered. A retry counts once its outcome is known; its delay is the average time since the failure. Set RETRY_POLICY_FILE to change the policy.</p>`
}`,
  }
}

function codeRow(
  base: string,
  span: NamedSpan,
  { code, attempts, messages, recovered, retries }: FailureCode,
  policy: RetryPolicy,
): Html {
  const name =
    code === null ? html`none` : html`<a href="${base}/messages?span=${span.name}&code=${code}">${code}</a>`
  return html`<tr data-code="${code ?? 'none'}"><td>${name}</td><td>${reasonOf(code)}</td><td>${policyOf(policy, code)}</td>
<td class="number">${count(attempts)}</td><td class="number">${count(messages)}</td>
<td>${share(recovered, messages)} <span class="quiet">${count(recovered)} of ${count(messages)}</span></td>
<td>${retries.length === 0 ? html`<span class="quiet">not retried</span>` : html`<ol class="retries">${retries.map(retryLine)}</ol>`}</td></tr>`
}

function retryLine({ retry, made, delivered, delaySeconds }: RetryOutcome): Html {
  const after = delaySeconds === null ? '' : ` after ${duration(delaySeconds)}`
  return html`<li>retry ${retry}${after}: ${share(delivered, made)} <span class="quiet">${count(delivered)} of ${count(made)}</span></li>`
}

function policyOf(policy: RetryPolicy, code: number | null): string {
  const rule = ruleFor(policy, code)
  if (rule.action === 'stop') return 'no retry'
  if (rule.action === 'hold')
    return 'sent again without using up a retry; five in a row put the account on hold'
  return `${rule.retries} ${rule.retries === 1 ? 'retry' : 'retries'}: after ${formatSchedule(policy, rule, duration)}`
}
