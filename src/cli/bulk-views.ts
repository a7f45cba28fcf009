// Formats the result of a retry or cancellation of all messages that match a filter.
import type { Search } from '../db/search.ts'
import type { BulkAction } from '../messages/act-on-matches.ts'
import type { BulkResult } from '../messages/bulk-result.ts'
import { count } from '../shared/figures.ts'
import { formatTime } from './format-time.ts'

const DONE = { retry: 'retried', cancel: 'canceled' } as const

export function bulkView(action: BulkAction, result: BulkResult, isDryRun: boolean): string {
  const { matched, changed, unchanged, failed } = result
  const would = isDryRun ? 'would be ' : ''
  const notChanged = [...unchanged.values()].reduce((sum, each) => sum + each, 0)
  return [
    `${messages(matched)} ${matched === 1 ? 'matches' : 'match'}, created ${spanOf(action.search)}.`,
    `  ${count(changed)} ${would}${DONE[action.kind]}`,
    ...(notChanged === 0 ? [] : [`  ${count(notChanged)} ${isDryRun ? 'would not be' : 'not'} changed:`]),
    ...[...unchanged].map(([why, many]) => `    ${count(many)}: ${why}`),
    ...(failed === 0
      ? []
      : [`  ${count(failed)} failed: the row is locked, or the database refuses the change`]),
  ].join('\n')
}

export function messages(many: number): string {
  return `${count(many)} message${many === 1 ? '' : 's'}`
}

function spanOf({ since, until }: Search): string {
  if (since === null && until === null) return 'at any time'
  const from = since === null ? '' : `since ${formatTime(since)} UTC`
  const to = until === null ? '' : `before ${formatTime(until)} UTC`
  return [from, to].filter(Boolean).join(' and ')
}

/** Stable: keys are added, never renamed. */
export function bulkJson({ kind, search, by }: BulkAction, result: BulkResult, isDryRun: boolean): object {
  const { matched, changed, unchanged, failed, isComplete } = result
  return {
    action: kind,
    dryRun: isDryRun,
    by,
    since: search.since,
    until: search.until,
    matched,
    changed,
    unchanged: [...unchanged].map(([why, many]) => ({ why, messages: many })),
    failed,
    isComplete,
  }
}
