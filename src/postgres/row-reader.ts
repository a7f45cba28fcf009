// What the server sends of a row, made into an object.
import type pg from 'pg'

/** A row's columns as text, as they come. */
export type Values = readonly (string | null)[]

/** The readers of the rows that transactions give, each kept for its statement. */
export class RowReaders {
  readonly #types: pg.CustomTypesConfig
  readonly #kept = new Map<string, RowReader>()

  constructor(types: pg.CustomTypesConfig) {
    this.#types = types
  }

  /**
   * @param statement the name of the prepared statement, of which there are few; undefined if it is not prepared
   * @param fields as the server has just described them
   */
  readerFor(statement: string | undefined, fields: readonly pg.FieldDef[]): RowReader {
    if (statement === undefined) return new RowReader(fields, this.#types)
    const kept = this.#kept.get(statement)
    if (kept?.isFor(fields, this.#types)) return kept
    const reader = new RowReader(fields, this.#types)
    this.#kept.set(statement, reader)
    return reader
  }
}

export class RowReader {
  /** V8 finds a column fast by a string that it has met: one that has just been read is new to it. */
  readonly #names: readonly string[]
  readonly #parsers: readonly ((text: string) => unknown)[]
  /** With all its columns from the start, each row has the same shape, which V8 reads faster. */
  readonly #empty: Readonly<Record<string, unknown>>

  constructor(fields: readonly pg.FieldDef[], types: pg.CustomTypesConfig) {
    this.#names = fields.map(({ name }) => name)
    this.#parsers = fields.map((field) => parserOf(field, types))
    this.#empty = Object.fromEntries(this.#names.map((name) => [name, null]))
  }

  /** Whether it reads such rows as a new one would: the app may give pg another parser at any time. */
  isFor(fields: readonly pg.FieldDef[], types: pg.CustomTypesConfig): boolean {
    if (fields.length !== this.#names.length) return false
    return fields.every(
      (field, i) => field.name === this.#names[i] && parserOf(field, types) === this.#parsers[i],
    )
  }

  /** @throws what a parser throws */
  read(values: Values): object {
    const row = { ...this.#empty }
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i]
      if (typeof value === 'string') row[this.#names[i] as string] = this.#parsers[i]?.(value)
    }
    return row
  }
}

function parserOf({ dataTypeID }: pg.FieldDef, types: pg.CustomTypesConfig): (text: string) => unknown {
  return types.getTypeParser(dataTypeID, 'text')
}
