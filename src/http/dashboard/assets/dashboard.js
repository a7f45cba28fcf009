// Draws the chart and refreshes the page. Every page is complete without it.
/* global uPlot */

const main = document.querySelector('main')
let plot = null

const utc = (seconds) => new Date(seconds * 1000).toISOString().replace('T', ' ')

/** In the page's colours, which follow the browser's light or dark mode. */
function drawChart() {
  plot?.destroy()
  plot = null
  const place = document.getElementById('chart')
  if (place === null || typeof uPlot === 'undefined') return
  place.hidden = false
  const series = JSON.parse(place.dataset.series)
  const bucket = series[0][1] - series[0][0]
  const style = getComputedStyle(document.body)
  const probe = document.createElement('span')
  document.body.append(probe)
  const colour = (name) => {
    probe.style.color = `var(--${name})`
    return getComputedStyle(probe).color
  }
  const [ink, line, good, bad] = ['ink', 'line', 'good', 'bad'].map(colour)
  probe.remove()
  const axis = {
    stroke: ink,
    font: `12px ${style.fontFamily}`,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line },
  }
  const width = () => place.clientWidth - 32
  plot = new uPlot(
    {
      width: width(),
      height: 260,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'UTC'),
      scales: {
        // Half a bucket of room on both sides, for the bars.
        x: { range: (_plot, least, most) => [least - bucket / 2, most + bucket / 2] },
        '%': { range: (_plot, least) => [Math.min(least ?? 90, 90), 100] },
        failures: { range: (_plot, _least, most) => [0, Math.max(most ?? 0, 4)] },
      },
      axes: [
        {
          ...axis,
          values: (_plot, ticks, _axis, _space, step) =>
            ticks.map((tick) => utc(tick).slice(...(step >= 86_400 ? [5, 10] : [11, 16]))),
        },
        { ...axis, scale: '%', values: (_plot, ticks) => ticks.map((tick) => `${tick} %`), size: 60 },
        { ...axis, scale: 'failures', side: 1, grid: { show: false } },
      ],
      series: [
        { value: (_plot, seconds) => (seconds === null ? '' : utc(seconds).slice(0, 16)) },
        {
          label: 'Failed',
          scale: 'failures',
          stroke: bad,
          fill: bad,
          paths: uPlot.paths.bars({ size: [0.5, 24] }),
          points: { show: false },
        },
        {
          label: 'Delivery rate',
          scale: '%',
          stroke: good,
          width: 2,
          spanGaps: true,
          points: { show: true },
          value: (_plot, value) => (value === null ? '–' : `${value.toFixed(1)} %`),
        },
      ],
    },
    series,
    place,
  )
}

async function refresh() {
  const state = document.getElementById('refreshed')
  try {
    const response = await fetch(location.href, { headers: { Accept: 'text/html' } })
    const next = new DOMParser().parseFromString(await response.text(), 'text/html').querySelector('main')
    if (!response.ok || next === null) throw new Error(`${response.status}`)
    const isOpen = document.querySelector('details')?.open ?? false
    main.replaceChildren(...next.childNodes)
    const details = document.querySelector('details')
    if (details !== null) details.open = isOpen
    drawChart()
    state.textContent = `Refreshed at ${new Date().toISOString().slice(11, 19)}.`
  } catch (error) {
    state.textContent = `Refresh failed (${error.message}). Trying again.`
  }
}

/** Not in a hidden tab, and not while somebody fills in a form. */
function canRefresh() {
  return document.visibilityState === 'visible' && document.activeElement?.closest('form') == null
}

// The notice is shown once: a reload must not repeat it.
if (location.search.includes('notice=')) history.replaceState(null, '', location.pathname)

drawChart()
addEventListener('resize', drawChart)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawChart)
const seconds = Number(main.dataset.refreshSeconds)
if (seconds > 0) {
  const loop = () =>
    setTimeout(() => (canRefresh() ? refresh() : Promise.resolve()).finally(loop), seconds * 1000)
  loop()
}
