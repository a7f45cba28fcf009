// How PostgreSQL carries out a statement: by which indexes, and how many rows it reads.
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

/** Has PostgreSQL carry out the one statement that `run` makes, and tell how. */
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

/** Rows of the table or entries of an index, those included that were of no use. */
export function rowsReadBy(node: PlanNode): number {
  const ofNoUse = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
  return (node['Actual Rows'] + ofNoUse) * node['Actual Loops']
}
