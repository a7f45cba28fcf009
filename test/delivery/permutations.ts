// Every order of a few items, deterministically and completely.

/**
 * Takes a step for each item, in every order of `items`, and calls `visit` at the end of each order. Orders with the same
 * beginning share its steps. Equal items are not distinguished, so no order repeats.
 */
export function visitOrders<T, State>(
  state: State,
  items: readonly T[],
  step: (state: State, item: T) => State,
  visit: (end: State, order: readonly T[]) => void,
  order: readonly T[] = [],
): void {
  if (items.length === 0) visit(state, order)
  for (const item of new Set(items)) {
    visitOrders(step(state, item), items.toSpliced(items.indexOf(item), 1), step, visit, [...order, item])
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

/**
 * Takes a step for each item of every sequence of `length` items. Sequences with the same beginning share its steps.
 *
 * @param step returns null if nothing may follow the item
 */
export function visitSequences<T, State>(
  state: State,
  items: readonly T[],
  length: number,
  step: (state: State, item: T, before: readonly T[]) => State | null,
  before: readonly T[] = [],
): void {
  if (length === 0) return
  for (const item of items) {
    const next = step(state, item, before)
    if (next !== null) visitSequences(next, items, length - 1, step, [...before, item])
  }
}
