// How a statement is written to pg's connection, without a Sync after it: Parse where the server does not know it yet,
// Bind, Describe where its rows are wanted, Execute.
import type { Duplex } from 'node:stream'
import pg from 'pg'

/** The part of pg's connection that pg's own queries, pg-cursor and pg-query-stream use as well. */
export interface Wire {
  readonly stream: Duplex
  /** By their names: what the server has parsed, and what it was sent and has not answered yet. */
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
  parse(statement: { readonly text: string; readonly name: string | undefined }): void
  bind(values: { readonly statement: string | undefined; readonly values: unknown[] }): void
  describe(portal: { readonly type: 'P'; readonly name: '' }): void
  execute(portal: Record<string, never>): void
  flush(): void
  sync(): void
}

/** How pg writes a JavaScript value for the server. Its types leave it out. */
const { prepareValue } = (pg as unknown as { utils: { prepareValue(value: unknown): unknown } }).utils

/**
 * @param name under which it is prepared; undefined to have it parsed each time
 * @throws what pg throws of a value that it cannot write
 */
export function writeStatement(
  wire: Wire,
  text: string,
  name: string | undefined,
  values: readonly unknown[],
  areRowsWanted: boolean,
): void {
  const written = values.map(prepareValue)
  if (name === undefined || !(name in wire.parsedStatements || name in wire.submittedNamedStatements)) {
    wire.parse({ text, name })
    if (name !== undefined) wire.submittedNamedStatements[name] = text
  }
  wire.bind({ statement: name, values: written })
  // Each time: behind a pooler, the server that has prepared it may be another one than the last time.
  if (areRowsWanted) wire.describe({ type: 'P', name: '' })
  wire.execute({})
}
