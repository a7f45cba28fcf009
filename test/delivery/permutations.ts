// Generates every order of a few items, deterministically and completely.

/** Every order of `items`. Equal items are not distinguished, so no order repeats. */
export function* ordersOf<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield []
  for (const item of new Set(items)) {
    const index = items.indexOf(item)
    for (const rest of ordersOf(items.toSpliced(index, 1))) yield [item, ...rest]
  }
}

/** `items` with up to `most` of them repeated: [], [a], [b], [a, a], [a, b] ... appended. */
export function* withRepetitions<T>(items: readonly T[], most: number, from = 0): Generator<T[]> {
  yield [...items]
  if (most === 0) return
  const kinds = [...new Set(items)]
  for (let i = from; i < kinds.length; i++) {
    yield* withRepetitions([...items, ...kinds.slice(i, i + 1)], most - 1, i)
  }
}

/** Every sequence of `length` items. */
export function* sequencesOf<T>(items: readonly T[], length: number): Generator<T[]> {
  if (length === 0) yield []
  else for (const first of items) for (const rest of sequencesOf(items, length - 1)) yield [first, ...rest]
}
