// The transaction of the app: its client or ORM runs the statements, and the app commits or rolls back.
import type pg from 'pg'
import type { Db, Transaction } from './transaction.ts'

/** The caller's own transaction: a pg client, or an adapter of pg-boss for an ORM. */
export type CallerTransaction = Db | pg.ClientBase

/** @throws TypeError if it is neither: JavaScript can pass anything */
export function dbOfCaller(db: CallerTransaction): Db {
  const { executeSql, query }: { executeSql?: unknown; query?: unknown } = Object(db)
  if (typeof executeSql !== 'function' && typeof query !== 'function')
    throw new TypeError('db must be a pg client or an adapter with executeSql')
  return 'executeSql' in db ? db : { executeSql: (text, values) => db.query(text, values) }
}

/**
 * Runs `work` on the caller's transaction, one statement after the other. Its last statements run when `work` has
 * returned, as the commit is the caller's.
 */
export async function inCallerTransaction<T>(db: Db, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const last: (() => Promise<void>)[] = []
  const add = <Row extends object>(
    text: string,
    values: unknown[] | undefined,
    onRows?: (rows: readonly Row[]) => void,
  ): void => {
    last.push(async () => {
      const { rows } = await db.executeSql<Row>(text, values)
      onRows?.(rows)
    })
  }
  const result = await work({
    executeSql: (text, values) => db.executeSql(text, values),
    atBegin: db,
    atCommit: {
      executeSql: async (text, values) => {
        add(text, values)
        return { rows: [] }
      },
    },
    executeAtCommit: add,
  })
  for (const run of last) await run()
  return result
}
