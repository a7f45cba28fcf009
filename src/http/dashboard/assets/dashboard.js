// Shows times in the browser's time zone and refreshes the page. Every page is complete without it.

const main = document.querySelector('main')

const utc = (seconds) => new Date(seconds * 1000).toISOString().replace('T', ' ')

/** Buttons are made here, because without JavaScript they do nothing. */
function createButton(onClick) {
  const button = document.createElement('button')
  button.type = 'button'
  button.addEventListener('click', onClick)
  return button
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
const ZONE_KEY = 'sms-retry-zone'
let isOwnZone = storedZone() !== 'UTC'
const zoneButton = createButton(switchZone)

function storedZone() {
  try {
    return localStorage.getItem(ZONE_KEY)
  } catch {
    // The browser blocks the storage: the choice lasts for this page.
    return null
  }
}

function switchZone() {
  isOwnZone = !isOwnZone
  showTimes()
  try {
    localStorage.setItem(ZONE_KEY, isOwnZone ? 'own' : 'UTC')
  } catch {
    // As above.
  }
}

const two = (number) => `${number}`.padStart(2, '0')

/** As the server writes a time: `2026-07-01 12:00:00`. */
function formatTime(date) {
  if (!isOwnZone) return utc(date / 1000).slice(0, 19)
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`
}

/** The title of each time stays in UTC. */
function showTimes() {
  for (const time of document.querySelectorAll('time[datetime]')) {
    // Other forms, such as a year with more than four digits, stay in UTC.
    if (/^\d{4}(-\d\d){2} \d\d(:\d\d){2}$/.test(time.textContent))
      time.textContent = formatTime(new Date(time.dateTime))
  }
  zoneButton.textContent = isOwnZone ? 'Show UTC' : `Show ${zone}`
  document.getElementById('zone').textContent =
    isOwnZone && zone !== 'UTC'
      ? `Times are in the zone ${zone}. Point at a time to see it in UTC. Filters and charts are in UTC.`
      : 'All times are UTC.'
}

/** The refresh replaces the focused element: the focus goes to the one with the same link or place. */
function keepFocus(replace) {
  const focusable = () => [...main.querySelectorAll('a, button, summary, [tabindex]')]
  const before = focusable()
  const focused = document.activeElement
  const place = before.indexOf(focused)
  replace()
  if (place === -1) return
  const after = focusable()
  const same = after.find(
    ({ href, textContent }) => href === focused.href && textContent === focused.textContent,
  )
  const target = same ?? after[place]
  target?.focus({ preventScroll: true })
}

async function refresh() {
  const state = document.getElementById('refreshed')
  const failure = document.getElementById('refresh-failed')
  try {
    const response = await fetch(location.href, { headers: { Accept: 'text/html' } })
    const next = new DOMParser().parseFromString(await response.text(), 'text/html').querySelector('main')
    if (!response.ok || next === null) throw new Error(`${response.status}`)
    const areOpen = [...main.querySelectorAll('details')].map(({ open }) => open)
    keepFocus(() => {
      main.replaceChildren(...next.childNodes)
      for (const [place, details] of main.querySelectorAll('details').entries())
        details.open = areOpen[place] ?? false
    })
    const now = new Date()
    const time = Object.assign(document.createElement('time'), { textContent: formatTime(now) })
    time.dateTime = now.toISOString()
    time.title = utc(now / 1000).replace('Z', ' UTC')
    state.replaceChildren('Refreshed at ', time, '.')
    failure.textContent = ''
    showTimes()
  } catch (error) {
    state.textContent = ''
    failure.textContent = `Refresh failed (${error.message}). Trying again.`
  }
}

let isPaused = false

/** Not in a hidden tab, and not while somebody fills in a form. */
function canRefresh() {
  return (
    !isPaused && document.visibilityState === 'visible' && document.activeElement?.closest('form') == null
  )
}

// The notice is shown once: a reload must not repeat it.
if (location.search.includes('notice=')) history.replaceState(null, '', location.pathname)

showTimes()
if (zone !== 'UTC') document.getElementById('zone').after(zoneButton)
const seconds = Number(main.dataset.refreshSeconds)
if (seconds > 0) {
  const pause = createButton(() => {
    isPaused = !isPaused
    pause.textContent = isPaused ? 'Resume refresh' : 'Pause refresh'
  })
  pause.textContent = 'Pause refresh'
  document.getElementById('refreshed').before(pause)
  const loop = () =>
    setTimeout(() => (canRefresh() ? refresh() : Promise.resolve()).finally(loop), seconds * 1000)
  loop()
}
