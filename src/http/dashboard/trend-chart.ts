// A chart of a time range as SVG, drawn on the server: panels on top of each other that share their time axis. Each panel
// has its own scale, which begins at 0.
import { type Html, html } from '../../shared/html.ts'
import { countTicks, type Layer, stack, timeTicks } from './chart-scale.ts'
import { fixed } from './marks.ts'

export interface ColumnPanel {
  readonly title: string
  readonly height: number
  /** The values of each part, from the bottom of its column up. */
  readonly values: readonly (readonly number[])[]
  /** The colour of each value, as a class. */
  readonly tones: readonly string[]
}

export interface SharePanel {
  readonly title: string
  readonly height: number
  /** From 0 to 1. Null interrupts the line. */
  readonly shares: readonly (number | null)[]
}

export interface TrendChart {
  /** Names the chart on its page. */
  readonly id: string
  readonly title: string
  readonly description: string
  /** When the parts begin. */
  readonly starts: readonly Date[]
  /** The figures of each part, shown when the pointer rests on it. */
  readonly summaries: readonly string[]
  readonly panels: readonly (ColumnPanel | SharePanel)[]
}

/** The chart is drawn for wide and for narrow screens: scaled down, its texts would be too small to read. */
const SIZES = [
  { name: 'wide', width: 900, maxTicks: 13 },
  { name: 'narrow', width: 360, maxTicks: 6 },
] as const

const LEFT = 48
const RIGHT = 6
const HEAD = 26
const GAP = 12
const AXIS = 22

/** Where the parts lie on the time axis. */
interface Plot {
  readonly width: number
  readonly partWidth: number
  readonly x: (part: number) => number
}

/** Where a panel lies, and how a value becomes a y. */
interface Frame {
  readonly top: number
  readonly ticks: readonly number[]
  readonly y: (value: number) => number
}

export function trendChart(chart: TrendChart): Html {
  return html`${SIZES.map((size) => drawChart(chart, size))}`
}

function drawChart(chart: TrendChart, size: (typeof SIZES)[number]): Html {
  const { id, title, description, starts, summaries, panels } = chart
  const partWidth = (size.width - LEFT - RIGHT) / Math.max(starts.length, 1)
  const plot: Plot = { width: size.width, partWidth, x: (part) => LEFT + part * partWidth }
  let bottom = -GAP
  const drawn = panels.map((panel) => {
    const frame = frameOf(panel, bottom + GAP)
    bottom = frame.y(0)
    return drawPanel(panel, frame, plot)
  })
  const name = `${id}-${size.name}`
  return html`<svg class="trend ${size.name}" viewBox="0 0 ${size.width} ${bottom + AXIS}" role="img" aria-labelledby="${name}-title ${name}-desc">
<title id="${name}-title">${title}</title><desc id="${name}-desc">${description}</desc>
${drawn}
${timeAxis(starts, plot, size.maxTicks, bottom)}
${summaries.map((summary, i) => html`<rect class="hit" x="${fixed(plot.x(i))}" y="${HEAD}" width="${fixed(partWidth)}" height="${bottom - HEAD}"><title>${summary}</title></rect>`)}
</svg>`
}

function frameOf(panel: ColumnPanel | SharePanel, top: number): Frame {
  const ticks = 'shares' in panel ? [0, 0.5, 1] : countTicks(highestOf(panel))
  const max = ticks.at(-1) ?? 1
  return { top, ticks, y: (value) => top + HEAD + panel.height * (1 - value / max) }
}

function highestOf({ values }: ColumnPanel): number {
  return Math.max(0, ...values.map((each) => each.reduce((sum, value) => sum + value, 0)))
}

function drawPanel(panel: ColumnPanel | SharePanel, frame: Frame, plot: Plot): Html {
  const format = 'shares' in panel ? (tick: number): string => `${tick * 100} %` : compact
  const line = (tick: number): Html =>
    html`<path class="grid" d="M${LEFT} ${fixed(frame.y(tick))}H${plot.width - RIGHT}"/><text class="tick" x="${LEFT - 6}" y="${fixed(frame.y(tick) + 4)}" text-anchor="end">${format(tick)}</text>`
  return html`<text class="panel" x="0" y="${frame.top + 14}">${panel.title}</text>
${frame.ticks.map(line)}
${'shares' in panel ? shareLine(panel, frame, plot) : columns(panel, frame, plot)}`
}

const compact = (value: number): string =>
  value.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 1 })

const NOTHING: Layer = { from: 0, to: 0 }

/** One path for each colour. */
function columns({ values, tones }: ColumnPanel, { y }: Frame, { x, partWidth }: Plot): Html {
  const stacks = values.map(stack)
  const room = Math.min(2, partWidth / 5)
  const width = fixed(partWidth - room)
  const column = ({ from, to }: Layer, part: number): string =>
    to > from
      ? `M${fixed(x(part) + room / 2)} ${fixed(y(from))}V${fixed(y(to))}h${width}V${fixed(y(from))}z`
      : ''
  return html`${tones.map((tone, i) => {
    const path = stacks.map((layers, part) => column(layers[i] ?? NOTHING, part)).join('')
    return html`<path class="${tone}" d="${path}"/>`
  })}`
}

function shareLine({ shares }: SharePanel, { y }: Frame, plot: Plot): Html {
  const points = shares.map((share, i) =>
    share === null ? null : { x: fixed(plot.x(i + 0.5)), y: fixed(y(share)) },
  )
  const line = points.map((point, i) =>
    point === null ? '' : `${points[i - 1] == null ? 'M' : 'L'}${point.x} ${point.y}`,
  )
  const dots = points.map((point) =>
    point === null ? '' : html`<circle class="share-dot" cx="${point.x}" cy="${point.y}" r="2.5"/>`,
  )
  return html`<path class="share-line" d="${line.join('')}"/>${dots}`
}

/** Says that it is in UTC: the script of the page shows all other times in the zone of the browser. */
function timeAxis(starts: readonly Date[], plot: Plot, maxTicks: number, bottom: number): Html {
  return html`<text class="tick" x="${LEFT - 6}" y="${bottom + 18}" text-anchor="end">UTC</text>${timeTicks(
    starts,
    maxTicks,
  ).map(({ index, label }) => {
    const x = plot.x(index)
    // The labels at both ends stay inside the picture.
    const anchor = x < LEFT + 16 ? 'start' : x > plot.width - RIGHT - 20 ? 'end' : 'middle'
    return html`<path class="time" d="M${fixed(x)} ${HEAD}V${bottom + 5}"/><text class="tick" x="${fixed(x)}" y="${bottom + 18}" text-anchor="${anchor}">${label}</text>`
  })}`
}
