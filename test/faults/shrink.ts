// Makes a failing history shorter: leaves out ever smaller parts of it for as long as the rest still fails (delta
// debugging, Zeller 2002). Real processes are not as repeatable as arithmetic, so the result may be longer than the
// shortest one; it is never one that was not seen to fail.

/**
 * @param fails runs a history
 * @param hasTime asked before each run
 */
export async function shrink<T>(
  history: readonly T[],
  fails: (history: readonly T[]) => Promise<boolean>,
  hasTime: () => boolean,
): Promise<readonly T[]> {
  let shortest = history
  for (let size = Math.ceil(history.length / 2); size >= 1; ) {
    let isShorter = false
    for (let start = 0; start < shortest.length && hasTime(); ) {
      const rest = [...shortest.slice(0, start), ...shortest.slice(start + size)]
      if (rest.length < shortest.length && (await fails(rest))) {
        shortest = rest
        isShorter = true
      } else {
        start += size
      }
    }
    if (!hasTime()) break
    if (size === 1 && !isShorter) break
    size = Math.max(1, Math.min(Math.ceil(size / 2), shortest.length))
    if (shortest.length === 0) break
  }
  return shortest
}
