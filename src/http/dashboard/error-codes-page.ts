// Why messages fail, what the policy does about it, and what that has brought: the evidence to change the policy by.
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
<div class="head"><h1>Failures of the last ${span.words}</h1>${spanLinks(`${base}/error-codes`, span)}</div>
${isComplete ? '' : html`<p class="note">Of the newest ${count(MAX_CONSIDERED)} messages that had trouble; there are more in this time.</p>`}
${
  codes.length === 0
    ? html`<p class="empty">No attempt has failed.</p>`
    : html`<div class="wide"><table class="codes">
<thead><tr><th>Code</th><th>Meaning</th><th>The policy</th><th class="number">Attempts</th><th class="number">Messages</th><th>Recovered</th><th>What each retry brought</th></tr></thead>
<tbody>${codes.map((code) => codeRow(base, span, code, policy))}</tbody></table></div>
<p class="quiet">Recovered: messages with this failure that were delivered in the end. A retry counts once its outcome is known; the time is what passed on average between the failure and the retry. The policy is changed in RETRY_POLICY_FILE.</p>`
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
  if (rule.action === 'stop') return 'never again'
  return `${rule.retries} ${rule.retries === 1 ? 'retry' : 'retries'}: after ${formatSchedule(policy, rule, duration)}`
}
