// What the server sends of a row, made into an object.
import type pg from 'pg'

/** A row's columns as text, as they come. */
export type Values = readonly (string | null)[]

/** @throws what a parser of `types` throws, when a row is read */
export function rowReader(
  fields: readonly pg.FieldDef[],
  types: pg.CustomTypesConfig,
): (values: Values) => unknown {
  const names = fields.map(({ name }) => name)
  const parsers = fields.map(({ dataTypeID }) => types.getTypeParser(dataTypeID, 'text'))
  const empty = Object.fromEntries(names.map((name) => [name, null as unknown]))
  return (values) => {
    // With all its columns from the start, each row has the same shape, which V8 reads faster.
    const row = { ...empty }
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i]
      if (typeof value === 'string') row[names[i] as string] = parsers[i]?.(value)
    }
    return row
  }
}
