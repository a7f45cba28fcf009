// Reads the plan of a statement: which indexes it uses, and how many rows it reads.
import { expect } from '@jest/globals'
import type { Db } from '../../src/postgres/pool.ts'
import type { TestDatabase } from '../support/database.ts'

export interface PlanNode {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Index Recheck'?: number
  readonly Plans?: readonly PlanNode[]
}

/** Runs EXPLAIN ANALYZE for the one statement that `run` executes. */
export async function planOf(
  database: TestDatabase,
  run: (db: Db) => Promise<unknown>,
): Promise<{ root: PlanNode; scans: PlanNode[] }> {
  const statements: [text: string, values: unknown[] | undefined][] = []
  const recorder: Db = {
    async executeSql(text, values) {
      statements.push([text, values])
      return { rows: [] }
    },
  }
  await run(recorder)
  expect(statements).toHaveLength(1)
  const [[text, values] = ['']] = statements
  const [row] = await database.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
    `explain (analyze, format json) ${text}`,
    values,
  )
  if (row === undefined) throw new Error('no plan')
  const root = row['QUERY PLAN'][0].Plan
  return { root, scans: nodesOf(root).filter((node) => node['Node Type'].endsWith('Scan')) }
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}

/** The rows or index entries that were read, including discarded ones. */
export function rowsReadBy(node: PlanNode): number {
  const ofNoUse = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
  return (node['Actual Rows'] + ofNoUse) * node['Actual Loops']
}
