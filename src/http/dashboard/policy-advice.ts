// What the history advises about the retries of each error code, as `sms-retry policy --advise` does. Reading the history
// takes longer than a page may, so it is read in the background while somebody looks at the page of a code.
import { setImmediate } from 'node:timers/promises'
import { readHistory } from '../../db/read-history.ts'
import { formatSchedule, isAccountFailure, type RetryPolicy, ruleFor } from '../../delivery/retry-policy.ts'
import type { Rule } from '../../delivery/retry-rule.ts'
import { type Advice, type AdvisedPolicy, adviseInSteps } from '../../evidence/advise.ts'
import type { History } from '../../evidence/history.ts'
import type { Db } from '../../postgres/pool.ts'
import { formatGain } from '../../shared/estimate-words.ts'
import { count, duration } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import { errorFields, type Logger } from '../../shared/log.ts'

const HISTORY_DAYS = 30

/** Of the newest messages with failures. The command reads ten times as many. */
const MAX_READ = 20_000

const VALID_MS = 3_600_000
/** After the history could not be read. */
const RETRY_MS = 60_000

export interface CurrentAdvice extends AdvisedPolicy {
  /** False if only the newest messages with failures were read. */
  readonly isComplete: boolean
}

export class PolicyAdvice {
  readonly #db: Db
  readonly #policy: RetryPolicy
  readonly #logger: Logger
  #latest: CurrentAdvice | null = null
  #validUntilMs = Number.NEGATIVE_INFINITY
  #isReading = false

  constructor(db: Db, policy: RetryPolicy, logger: Logger) {
    this.#db = db
    this.#policy = policy
    this.#logger = logger
  }

  /** The latest advice, which may be older than an hour. Null while the history is read for the first time. */
  latest(): CurrentAdvice | null {
    if (!this.#isReading && performance.now() >= this.#validUntilMs) void this.#read()
    return this.#latest
  }

  async #read(): Promise<void> {
    this.#isReading = true
    try {
      const history = await readHistory(this.#db, HISTORY_DAYS * 86_400, MAX_READ)
      const advised = await adviseBetweenRequests(history, this.#policy)
      this.#latest = { ...advised, isComplete: history.isComplete }
      this.#validUntilMs = performance.now() + VALID_MS
    } catch (error) {
      this.#logger.warn('Could not read the history for advice on the retry policy', errorFields(error))
      this.#validUntilMs = performance.now() + RETRY_MS
    } finally {
      this.#isReading = false
    }
  }
}

/** The time after which other work has its turn. */
const SLICE_MS = 10

/** The advice can take seconds, if many messages have deadlines. Requests are answered meanwhile. */
export async function adviseBetweenRequests(history: History, policy: RetryPolicy): Promise<AdvisedPolicy> {
  const steps = adviseInSteps(history, policy)
  for (;;) {
    const untilMs = performance.now() + SLICE_MS
    do {
      const { done, value } = steps.next()
      if (done === true) return value
    } while (performance.now() < untilMs)
    await setImmediate()
  }
}

/** The section of the page of a code. */
export function adviceSection(code: number | null, policy: RetryPolicy, advised: CurrentAdvice | null): Html {
  return html`<section aria-labelledby="advice"><h2 id="advice">What the history advises</h2>
${advised === null ? html`<p>The history of the last ${HISTORY_DAYS} days is being read. Reload this page in a moment.</p>` : adviceOf(code, policy, advised)}</section>`
}

function adviceOf(code: number | null, policy: RetryPolicy, advised: CurrentAdvice): Html {
  const { changes, unchanged, isComplete } = advised
  const change = changes.find((each) => each.code === code)
  const based = isComplete
    ? `the last ${HISTORY_DAYS} days`
    : `the newest ${count(MAX_READ)} messages with failures of the last ${HISTORY_DAYS} days`
  if (change !== undefined) return changeWords(policy, change, based)
  if (isAccountFailure(ruleFor(policy, code)))
    return html`<p>No advice: this failure is one of the account, not of the message.</p>`
  return code !== null && unchanged.includes(code)
    ? html`<p>No change: ${based} show no other delay or number of retries that is surely better.</p>`
    : html`<p>No advice: ${based} have too few retries after this failure, or none.</p>`
}

const CHANGE_WORDS: Readonly<Record<Advice['kind'], string>> = {
  stop: 'Do not retry',
  fewer: 'Retry less often',
  later: 'Retry later',
  more: 'Retry more often',
}

function changeWords(policy: RetryPolicy, change: Advice, based: string): Html {
  const { kind, from, to, recovered, retries, segments } = change
  const after = (rule: Rule): string => formatSchedule(policy, rule, duration) || 'no retry'
  return html`<p data-advice="${kind}"><strong>${CHANGE_WORDS[kind]}</strong>: ${after(to)} instead of ${after(from)}.</p>
<p>For the messages of ${based}, this would have changed the recovered messages by ${formatGain(recovered)}, the retries by ${formatGain(retries)}${segments === null ? '' : html` and the segments by ${formatGain(segments)}`} (with 90 % intervals). <code>sms-retry policy --advise</code> writes the change as a policy file.</p>`
}
