// A priority queue of events by virtual time: a binary heap. Events of the same time leave in the order in which they came.

interface Entry<T> {
  readonly atMs: number
  readonly order: number
  readonly value: T
}

export interface EventQueue<T> {
  readonly add: (atMs: number, value: T) => void
  /** The earliest event; null if there is none. */
  readonly take: () => { readonly atMs: number; readonly value: T } | null
}

export function createEventQueue<T>(): EventQueue<T> {
  const heap: Entry<T>[] = []
  let added = 0

  function add(atMs: number, value: T): void {
    const entry = { atMs, order: added++, value }
    let place = heap.length
    for (;;) {
      const parent = (place - 1) >> 1
      const above = heap[parent]
      if (above === undefined || isBefore(above, entry)) break
      heap[place] = above
      place = parent
    }
    heap[place] = entry
  }

  function take(): Entry<T> | null {
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined) return null
    if (heap.length > 0) sink(last)
    return first
  }

  function sink(entry: Entry<T>): void {
    let place = 0
    for (;;) {
      const left = 2 * place + 1
      const right = heap[left + 1]
      const child = right !== undefined && isBefore(right, heap[left] ?? right) ? left + 1 : left
      const below = heap[child]
      if (below === undefined || isBefore(entry, below)) break
      heap[place] = below
      place = child
    }
    heap[place] = entry
  }

  return { add, take }
}

function isBefore<T>(one: Entry<T>, other: Entry<T>): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)
}
