// Formats figures for people, on pages and in the terminal.

export function count(value: number): string {
  return value.toLocaleString('en')
}

/** A percentage that is `100 %` only for all and `0 %` only for none, never by rounding. */
export function share(part: number, whole: number): string {
  if (whole === 0) return '–'
  const percent = (100 * part) / whole
  const shown = percent.toFixed(1)
  if (shown === '100.0') return part === whole ? '100 %' : '> 99.9 %'
  if (shown === '0.0') return part === 0 ? '0 %' : '< 0.1 %'
  return `${shown} %`
}

/** A number of seconds in its two largest units: `1 d 6 h`, `1 min 30 s`. */
export function duration(seconds: number): string {
  const whole = Math.round(Math.abs(seconds))
  const units: [string, number][] = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ]
  const first = units.findIndex(([, size]) => whole >= size)
  if (first === -1) return seconds === 0 ? '0 s' : '< 1 s'
  let rest = whole
  return units
    .slice(first, first + 2)
    .flatMap(([name, size]) => {
      const many = Math.floor(rest / size)
      rest -= many * size
      return many === 0 ? [] : [`${many} ${name}`]
    })
    .join(' ')
}
